#!/usr/bin/env bash
# Tests the scripts with stand-ins for GitLab's programs, in a folder that is deleted afterwards.
set -euo pipefail

here="$(cd "$(dirname "$0")/.." && pwd)"
world="$(mktemp -d)"
trap 'rm -rf "$world"' EXIT
mkdir -p "$world/bin" "$world/backups" "$world/etc"
export PATH="$world/bin:$here/scripts:$PATH"
export AUTOGIT_BACKUP_DIR="$world/backups" AUTOGIT_CONFIGURATION_DIR="$world/etc"
export AUTOGIT_DATA_DIR="$world" AUTOGIT_FREE_PERCENT=0
export WORLD="$world"

program() {
    printf '#!/usr/bin/env bash\n%s\n' "$2" >"$world/bin/$1"
    chmod +x "$world/bin/$1"
}

# What stands in quotes is for the programs to expand.
# shellcheck disable=SC2016
# Each notes its arguments, so that a test can tell what happened and in which order.
calm_world() {
    : >"$world/calls"
    # The image has zstd; the machine of a test need not.
    program zstd 'exec gzip "$@"'
    program gitlab-ctl 'echo "gitlab-ctl $*" >>"$WORLD/calls"'
    program gitlab-rake 'echo "gitlab-rake $*" >>"$WORLD/calls"'
    program gitlab-healthcheck 'exit 0'
    program gitlab-backup 'echo "gitlab-backup $*" >>"$WORLD/calls"
for word in "$@"; do case "$word" in BACKUP=*) name="${word#BACKUP=}" ;; esac; done
if [[ "$1" == create ]]; then
    echo data >"$WORLD/data" && tar -cf "$AUTOGIT_BACKUP_DIR/${name}_gitlab_backup.tar" -C "$WORLD" data
fi'
}

tests=0
failed=0
check() {
    tests=$((tests + 1))
    if [[ "$2" == "$3" ]]; then
        printf 'ok   %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    fi
}

code() {
    local status=0
    "$@" >"$world/stdout" 2>"$world/stderr" || status=$?
    printf '%s' "$status"
}

files() { find "$world/backups" -type f | wc -l; }

calm_world
printf 'secret' >"$world/etc/gitlab-secrets.json"

check "a backup has two parts" 0 "$(code autogit-backup)"
check "both parts are there" 2 "$(files)"
name="$(autogit-backup --list)"
check "what it prints is the name that the list shows" "$name" "$(cat "$world/stdout")"
check "nobody else can read it" 600 "$(stat --format %a "$world/backups/${name}_configuration.tar.zst")"
check "the secrets are in it" "./gitlab-secrets.json" \
    "$(tar --list --file "$world/backups/${name}_configuration.tar.zst" | grep secrets)"

program gitlab-backup 'exit 1'
check "a backup that fails is a failure" 1 "$(code autogit-backup)"
check "and leaves nothing half done" 2 "$(files)"
program gitlab-backup 'exit 0'
check "a backup that leaves no file is a failure" 1 "$(code autogit-backup)"
check "and does not count" "$name" "$(autogit-backup --list)"
calm_world

touch "$world/backups/20200101_000000_autogit_gitlab_backup.tar"
check "data without its configuration is not listed" "$name" "$(autogit-backup --list)"
for day in 01 02 03; do
    touch "$world/backups/202001${day}_000000_autogit_gitlab_backup.tar"
    touch "$world/backups/202001${day}_000000_autogit_configuration.tar.zst"
done
check "old backups are deleted" 0 "$(AUTOGIT_BACKUP_KEEP=2 code autogit-backup)"
check "so that the newest stay" 2 "$(autogit-backup --list | wc -l)"
check "a number is expected" 2 "$(AUTOGIT_BACKUP_KEEP=many code autogit-backup)"
check "an unknown option is wrong usage" 2 "$(code autogit-backup --all)"

: >"$world/calls"
printf 'changed' >"$world/etc/gitlab-secrets.json"
check "a restore must be told twice" 3 "$(code autogit-restore latest)"
check "and does nothing before" "" "$(cat "$world/calls")"
check "a backup that is not there is named" 2 "$(code autogit-restore 20190101)"
check "a path is not a name" 2 "$(code autogit-restore ../etc/passwd --force)"
check "a restore restores" 0 "$(code autogit-restore "$name" --force)"
check "the configuration" secret "$(cat "$world/etc/gitlab-secrets.json")"
check "what was there is kept" changed "$(cat "$world/etc.before-restore/gitlab-secrets.json")"
check "in this order" "gitlab-ctl stop puma
gitlab-ctl stop sidekiq
gitlab-backup restore BACKUP=$name force=yes
gitlab-ctl reconfigure
gitlab-ctl restart
gitlab-rake gitlab:check SANITIZE=true" "$(cat "$world/calls")"
printf 'not an archive' >"$world/backups/${name}_configuration.tar.zst"
: >"$world/calls"
check "a damaged backup is refused" 1 "$(code autogit-restore "$name" --force)"
check "before anything stops" "" "$(cat "$world/calls")"

check "a calm GitLab is well" 0 "$(code autogit-health)"
program gitlab-healthcheck 'echo "connection refused"; exit 1'
check "one that does not answer is not" 1 "$(code autogit-health)"
check "and it says why" 1 "$(grep --count 'connection refused' "$world/stdout")"
calm_world
program gitlab-ctl 'echo "down: sidekiq: 3s"'
check "a service that is down is told" 1 "$(code autogit-health)"
calm_world
check "a full disk is told" 1 "$(AUTOGIT_FREE_PERCENT=101 code autogit-health)"

printf '%s tests, %s failed\n' "$tests" "$failed"
[[ "$failed" == 0 ]]
