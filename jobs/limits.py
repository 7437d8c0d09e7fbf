"""How much a job may ask for. Hosts may be smaller; then the submit says so."""

VCPUS_LIMIT = 256
MEMORY_MB_LEAST = 16  # less does not start a shell
MEMORY_MB_LIMIT = 1024 * 1024
DISK_GB_LIMIT = 1000
TIMEOUT_S_LIMIT = 30 * 24 * 3600
RETRIES_LIMIT = 10
ENVIRONMENT_COUNT_LIMIT = 500
ENVIRONMENT_ITEM_LIMIT_BYTES = 128 * 1024 - 1  # Linux: MAX_ARG_STRLEN, with "=" and the final NUL
ENVIRONMENT_LIMIT_BYTES = 512 * 1024  # Linux shares 2 MiB (a quarter of the stack) with the arguments
FILES_LIMIT = 100
STARTUP_LIMIT_BYTES = 16 * 1024
