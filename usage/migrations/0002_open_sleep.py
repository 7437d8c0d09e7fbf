from django.db import migrations


def note_sleepers(apps, schema_editor):
    """Sandboxes that are frozen now. How often and long others slept before was not kept."""
    Sandbox, SleepSpan = apps.get_model("sandboxes", "Sandbox"), apps.get_model("usage", "SleepSpan")
    asleep = Sandbox.objects.filter(asleep_since__isnull=False, ended_at__isnull=True)
    SleepSpan.objects.bulk_create(
        SleepSpan(sandbox=sandbox, began_at=max(sandbox.asleep_since, sandbox.up_at or sandbox.asleep_since))
        for sandbox in asleep.iterator()
    )


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial")]

    operations = [migrations.RunPython(note_sleepers, migrations.RunPython.noop, elidable=True)]
