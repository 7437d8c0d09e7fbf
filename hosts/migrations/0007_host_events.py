import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0006_data_address'),
    ]

    operations = [
        migrations.CreateModel(
            name='HostEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('kind', models.CharField(choices=[('enrolled', 'enrolled'), ('booted', 'booted'), ('lost', 'lost'), ('back', 'back'), ('drained', 'drained'), ('undrained', 'undrained'), ('revoked', 'revoked')], max_length=20)),
                ('by', models.CharField(blank=True, max_length=254)),
                ('host', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='hosts.host')),
            ],
            options={
                'indexes': [models.Index(fields=['host', '-id'], name='host_event_newest')],
            },
        ),
    ]
