#!/bin/bash
# Tests the scripts with stand-ins for GitLab's programs, in a temporary folder; no container needed.
#
# One line per test; exits with 1 if one fails. `tests/run.sh WORD` runs those whose name contains it.
set -euo pipefail
export LC_ALL=C

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../scripts" && pwd)
temporary=$(mktemp --directory)
trap 'rm -rf -- "$temporary"' EXIT

# --- the world of a test ---------------------------------------------------------------------------

stand_in() {
    { printf '#!/bin/bash\nset -euo pipefail\n' && cat; } >"$1"
    chmod +x "$1"
}

# A machine with GitLab: its folders, and programs that record their calls and fail on request.
new_world() {
    world=$temporary/$1
    mkdir -p "$world"/{programs,etc/gitlab/ssl,var/opt/gitlab/backups,opt/gitlab/bin,opt/gitlab/embedded/service/gitlab-rails}
    backups=$world/var/opt/gitlab/backups/autogit
    printf 'secret one\n' >"$world/etc/gitlab/gitlab-secrets.json"
    printf 'rb one\n' >"$world/etc/gitlab/gitlab.rb"
    printf 'certificate\n' >"$world/etc/gitlab/ssl/git.crt"
    printf 'data one\n' >"$world/var/opt/gitlab/data"
    printf '16.11.0\n' >"$world/opt/gitlab/embedded/service/gitlab-rails/VERSION"
    : >"$world/calls"

    stand_in "$world/programs/gitlab-backup" <<'PROGRAM'
printf 'gitlab-backup %s\n' "$*" >>"$AUTOGIT_ROOT/calls"
[[ ! -e $AUTOGIT_ROOT/gitlab-backup.fails ]]
echo 'progress of gitlab-backup'
for argument in "${@:2}"; do
    [[ $argument != BACKUP=* ]] || archive=$AUTOGIT_ROOT/var/opt/gitlab/backups/${argument#BACKUP=}_gitlab_backup.tar
done
case $1 in
    create)
        work=$(mktemp --directory)
        cp "$AUTOGIT_ROOT/var/opt/gitlab/data" "$work/data"
        echo ':backup: true' >"$work/backup_information.yml"
        tar --create --file "$archive" --directory "$work" backup_information.yml data
        rm -r "$work"
        ;;
    restore)
        tar --extract --file "$archive" --directory "$AUTOGIT_ROOT/var/opt/gitlab" data
        ;;
esac
PROGRAM
    stand_in "$world/programs/gitlab-ctl" <<'PROGRAM'
printf 'gitlab-ctl %s\n' "$*" >>"$AUTOGIT_ROOT/calls"
if [[ $1 == status ]]; then
    cat "$AUTOGIT_ROOT/status"
    ! grep --quiet '^down' "$AUTOGIT_ROOT/status"
fi
[[ ! -e $AUTOGIT_ROOT/gitlab-ctl-$1.fails ]]
PROGRAM
    stand_in "$world/programs/gitlab-rake" <<'PROGRAM'
printf 'gitlab-rake %s\n' "$*" >>"$AUTOGIT_ROOT/calls"
[[ ! -e $AUTOGIT_ROOT/gitlab-rake.fails ]]
PROGRAM
    stand_in "$world/programs/curl" <<'PROGRAM'
cat "$AUTOGIT_ROOT/readiness" || { echo 'curl: (7) Failed to connect' >&2; exit 7; }
PROGRAM
    stand_in "$world/opt/gitlab/bin/gitlab-healthcheck" <<'PROGRAM'
[[ ! -e $AUTOGIT_ROOT/healthcheck.fails ]]
PROGRAM
    printf 'run: gitaly: (pid 1) 5s; run: log: (pid 2) 5s\nrun: puma: (pid 3) 5s; run: log: (pid 4) 5s\n' >"$world/status"
    printf '{"status":"ok","master_check":[{"status":"ok"}]}' >"$world/readiness"
}

# Runs a script in the world; leaves `code`, `output` and `errors` behind.
run() {
    code=0
    env -i HOME="$world" AUTOGIT_ROOT="$world" PATH="$world/programs:$scripts:$PATH" "${variables[@]}" \
        "$@" >"$world/output" 2>"$world/errors" </dev/null || code=$?
    output=$(<"$world/output")
    errors=$(<"$world/errors")
}
variables=()

back_up() {
    run autogit-backup
    [[ $code == 0 ]] || broken "no backup: $errors"
}

# An intact backup under a different name, as if made at that time.
back_up_at() {
    back_up
    [[ $output == "$1" ]] || mv "$backups/$output" "$backups/$1"
}

change_everything() {
    printf 'secret two\n' >"$world/etc/gitlab/gitlab-secrets.json"
    printf 'data two\n' >"$world/var/opt/gitlab/data"
    printf 'new\n' >"$world/etc/gitlab/new.key"
    : >"$world/calls"
}

# --- expectations: the first that fails ends the test ---------------------------------------

broken() {
    printf '%s\n' "$1" >"$temporary/why"
    exit 1
}
expect_code() { [[ $code == "$1" ]] || broken "exit code $code, expected $1; stderr: $errors"; }
expect_error() { [[ $errors == *"$1"* ]] || broken "stderr lacks \"$1\": $errors"; }
expect_output() { [[ $output == *"$1"* ]] || broken "stdout lacks \"$1\": $output"; }
expect_content() { [[ $(<"$1") == "$2" ]] || broken "${1#"$world"/} is \"$(<"$1")\", expected \"$2\""; }
expect_untouched() {
    expect_content "$world/var/opt/gitlab/data" 'data two'
    expect_content "$world/etc/gitlab/gitlab-secrets.json" 'secret two'
    [[ ! -s $world/calls ]] || broken "called: $(<"$world/calls")"
}
# Neither a partial backup nor a dump.
expect_no_leftovers() {
    local left
    left=$(find "$world/var" "$world/etc" \( -name '*partial*' -o -name 'autogit-*.tar' -o -name '.autogit-restore' \) -print)
    [[ -z $left ]] || broken "left behind: $left"
}

# --- backup -----------------------------------------------------------------------------------------

a_backup_contains_data_secrets_version_and_checksums() {
    run autogit-backup
    expect_code 0
    local files
    files=$(find "$backups/$output" -type f -printf '%f\n' | sort | paste --serial --delimiters ' ')
    [[ $files == 'SHA256SUMS configuration.tar data_gitlab_backup.tar gitlab-version' ]] || broken "holds: $files"
    expect_content "$backups/$output/gitlab-version" 16.11.0
    expect_no_leftovers
}

a_backup_prints_only_its_name_to_stdout() {
    run autogit-backup create
    expect_code 0
    [[ $output =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z$ ]] || broken "stdout: $output"
    expect_error 'progress of gitlab-backup'
}

a_backup_is_readable_by_its_owner_only() {
    back_up
    local open
    open=$(find "$backups/$output" -perm /077 -print)
    [[ -z $open ]] || broken "others may read: $open"
}

a_failed_dump_leaves_nothing_behind() {
    touch "$world/gitlab-backup.fails"
    run autogit-backup
    expect_code 1
    expect_error 'error: gitlab-backup could not dump the data'
    expect_error 'hint: '
    run autogit-backup list
    [[ -z $output ]] || broken "listed: $output"
    expect_no_leftovers
}

a_missing_dump_is_noticed() {
    stand_in "$world/programs/gitlab-backup" </dev/null
    run autogit-backup
    expect_code 1
    expect_error 'gitlab-backup succeeded, but left no'
    expect_no_leftovers
}

without_secrets_nothing_is_dumped() {
    rm "$world/etc/gitlab/gitlab-secrets.json"
    run autogit-backup
    expect_code 1
    expect_error 'gitlab-secrets.json cannot be read'
    [[ ! -s $world/calls ]] || broken "called: $(<"$world/calls")"
}

a_second_backup_at_the_same_time_is_refused() {
    mkdir -p "$backups"
    exec 8>"$backups/.lock"
    flock 8
    run autogit-backup
    exec 8>&-
    expect_code 1
    expect_error 'another backup is running'
}

leftovers_of_a_killed_backup_are_removed() {
    mkdir -p "$backups/.partial-2020-01-01T000000Z"
    back_up
    expect_no_leftovers
}

a_terminated_backup_cleans_up() {
    stand_in "$world/programs/gitlab-backup" <<'PROGRAM'
touch "$AUTOGIT_ROOT/dumping"
sleep 2
PROGRAM
    env -i AUTOGIT_ROOT="$world" PATH="$world/programs:$scripts:$PATH" autogit-backup 2>/dev/null &
    local process=$!
    while [[ ! -e $world/dumping ]]; do sleep 0.05; done
    kill -TERM "$process"
    code=0
    wait "$process" || code=$?
    errors=
    expect_code 143
    expect_no_leftovers
}

old_backups_are_removed_except_the_newest() {
    back_up_at 2020-01-01T000000Z
    back_up_at 2020-01-02T000000Z
    back_up
    local newest=$output
    run autogit-backup list
    [[ $(wc -l <<<"$output") == 1 && $output == "$newest "* ]] || broken "left: $output"
}

zero_days_keep_all_backups() {
    variables=(AUTOGIT_BACKUP_KEEP_DAYS=0)
    back_up_at 2020-01-01T000000Z
    back_up
    run autogit-backup list
    [[ $(wc -l <<<"$output") == 2 ]] || broken "left: $output"
}

a_failed_backup_removes_no_old_one() {
    back_up_at 2020-01-01T000000Z
    touch "$world/gitlab-backup.fails"
    run autogit-backup
    expect_code 1
    run autogit-backup list
    expect_output 2020-01-01T000000Z
}

a_bad_number_of_days_is_reported() {
    variables=(AUTOGIT_BACKUP_KEEP_DAYS=a-week)
    run autogit-backup
    expect_code 2
    expect_error 'AUTOGIT_BACKUP_KEEP_DAYS is "a-week", expected a number of days'
}

a_different_folder_can_be_used() {
    variables=(AUTOGIT_BACKUP_FOLDER="$world/elsewhere")
    back_up
    [[ -d $world/elsewhere/$output ]] || broken 'not there'
}

the_list_leaves_out_unfinished_backups() {
    variables=(AUTOGIT_BACKUP_KEEP_DAYS=0)
    back_up_at 2020-01-01T000000Z
    mkdir "$backups/.partial-2020-01-02T000000Z" "$backups/lost+found"
    run autogit-backup list
    expect_code 0
    [[ $output =~ ^2020-01-01T000000Z\ +[0-9.]+[KM]\ \ GitLab\ 16\.11\.0$ ]] || broken "listed: $output"
}

# --- verify -----------------------------------------------------------------------------------------

an_intact_backup_passes_verify() {
    back_up
    local name=$output
    run autogit-backup verify "$name"
    expect_code 0
    run autogit-backup verify latest
    expect_code 0
    [[ $output == "$name" ]] || broken "stdout: $output"
}

one_changed_byte_is_noticed() {
    back_up
    printf X | dd of="$backups/$output/data_gitlab_backup.tar" bs=1 seek=600 conv=notrunc status=none
    run autogit-backup verify latest
    expect_code 1
    expect_error 'a checksum does not match'
}

a_missing_part_is_noticed() {
    back_up
    rm "$backups/$output/configuration.tar"
    run autogit-backup verify latest
    expect_code 1
    expect_error 'configuration.tar is missing or empty'
}

a_part_without_checksum_is_noticed() {
    back_up
    sed -i /configuration/d "$backups/$output/SHA256SUMS"
    run autogit-backup verify latest
    expect_code 1
    expect_error 'configuration.tar has no checksum'
}

a_backup_without_secrets_is_noticed() {
    back_up
    cd "$backups/$output"
    tar --create --file configuration.tar --directory "$world/etc" gitlab/gitlab.rb
    sha256sum data_gitlab_backup.tar configuration.tar gitlab-version >SHA256SUMS
    run autogit-backup verify latest
    expect_code 1
    expect_error 'it does not contain the secrets of GitLab'
}

a_path_is_not_a_name() {
    back_up
    run autogit-backup verify ../autogit
    expect_code 2
    expect_error 'is not the name of a backup'
}

without_a_backup_the_hint_creates_one() {
    run autogit-backup verify latest
    expect_code 1
    expect_error 'hint: autogit-backup create'
}

# --- restore ----------------------------------------------------------------------------------------

a_restore_replaces_data_and_configuration() {
    back_up
    change_everything
    run autogit-restore latest --force
    expect_code 0
    expect_content "$world/var/opt/gitlab/data" 'data one'
    expect_content "$world/etc/gitlab/gitlab-secrets.json" 'secret one'
    expect_content "$world/etc/gitlab/ssl/git.crt" 'certificate'
    expect_content "$world/etc/gitlab/new.key" new
    expect_no_leftovers
    run autogit-backup verify latest
    expect_code 0
}

a_restore_stops_and_starts_gitlab() {
    back_up
    change_everything
    run autogit-restore latest --force
    expect_code 0
    expect_content "$world/calls" "gitlab-ctl stop puma
gitlab-ctl stop sidekiq
gitlab-backup restore BACKUP=autogit-restore force=yes DECOMPRESS_CMD=zstd -d
gitlab-ctl reconfigure
gitlab-ctl restart
gitlab-rake gitlab:check SANITIZE=true"
}

a_restore_keeps_the_previous_configuration() {
    back_up
    change_everything
    run autogit-restore latest --force
    expect_code 0
    local kept
    kept=$(tar --extract --to-stdout --file "$backups"/configuration-before-restore-*.tar gitlab/gitlab-secrets.json)
    [[ $kept == 'secret two' ]] || broken "kept: $kept"
}

a_restore_without_confirmation_changes_nothing() {
    back_up
    local name=$output
    change_everything
    run autogit-restore latest
    expect_code 1
    expect_error "hint: autogit-restore $name --force"
    expect_untouched
}

a_damaged_backup_is_never_restored() {
    back_up
    rm "$backups/$output/data_gitlab_backup.tar"
    change_everything
    run autogit-restore latest --force
    expect_code 1
    expect_error 'data_gitlab_backup.tar is missing or empty'
    expect_untouched
}

a_backup_of_another_version_is_not_restored() {
    back_up
    printf '17.0.1\n' >"$world/opt/gitlab/embedded/service/gitlab-rails/VERSION"
    change_everything
    run autogit-restore latest --force
    expect_code 1
    expect_error 'is from GitLab 16.11.0, but this is 17.0.1'
    expect_error 'GITLAB_VERSION=16.11.0-ce.0'
    expect_untouched
}

a_restore_during_a_backup_is_refused() {
    back_up
    change_everything
    exec 8>"$backups/.lock"
    flock 8
    run autogit-restore latest --force
    exec 8>&-
    expect_code 1
    expect_error 'a backup or another restore is running'
    expect_untouched
}

a_failed_restore_reports_the_state() {
    back_up
    local name=$output
    change_everything
    touch "$world/gitlab-backup.fails"
    run autogit-restore latest --force
    expect_code 1
    expect_error 'error: gitlab-backup could not restore the data'
    expect_error 'GitLab is stopped'
    expect_error "autogit-restore $name --force"
    expect_content "$world/etc/gitlab/gitlab-secrets.json" 'secret two'
    expect_no_leftovers
}

a_refused_configuration_is_reported() {
    back_up
    touch "$world/gitlab-ctl-reconfigure.fails"
    run autogit-restore latest --force
    expect_code 1
    expect_error 'GitLab refused the restored configuration'
}

problems_after_a_restore_are_reported() {
    back_up
    touch "$world/gitlab-rake.fails"
    run autogit-restore latest --force
    expect_code 1
    expect_error 'is restored and GitLab runs, but its check found problems'
    [[ $errors != *'does not serve anybody'* ]] || broken "$errors"
}

# --- health -----------------------------------------------------------------------------------------

a_working_server_is_healthy() {
    run autogit-health
    expect_code 0
    [[ $output == 'ok      web server
ok      database, cache and storage
ok      services: 2 running' ]] || broken "stdout: $output"
}

quiet_prints_nothing_for_a_working_server() {
    run autogit-health --quiet
    expect_code 0
    [[ -z $output ]] || broken "stdout: $output"
}

a_service_that_is_down_is_reported() {
    printf 'down: sidekiq: 3s, normally up; run: log: (pid 6) 9s\n' >>"$world/status"
    run autogit-health
    expect_code 1
    expect_output 'broken  service sidekiq: down
        hint: gitlab-ctl restart sidekiq'
}

a_silent_web_server_is_reported() {
    touch "$world/healthcheck.fails"
    run autogit-health
    expect_code 1
    expect_output 'broken  web server: no answer'
}

a_failed_check_of_gitlab_is_reported() {
    printf '{"status":"failed","db_check":[{"status":"failed","message":"no connection"}]}' >"$world/readiness"
    run autogit-health --quiet
    expect_code 1
    expect_output 'no connection'
    [[ $output != *'ok '* ]] || broken "stdout: $output"
}

an_unreachable_readiness_url_is_reported() {
    rm "$world/readiness"
    run autogit-health
    expect_code 1
    expect_output 'curl: (7) Failed to connect'
}

a_stopped_server_is_not_healthy() {
    : >"$world/status"
    run autogit-health
    expect_code 1
    expect_output 'broken  services: none is running'
}

# --- usage ------------------------------------------------------------------------------------------

every_script_has_a_help_text() {
    local script
    for script in autogit-backup autogit-restore autogit-health; do
        run "$script" --help
        expect_code 0
        expect_output "Usage: $script"
    done
}

wrong_usage_exits_with_2_and_a_hint() {
    local line
    for line in 'autogit-backup --all' 'autogit-backup list now' 'autogit-backup verify' \
        'autogit-restore' 'autogit-restore --yes' 'autogit-restore one two' 'autogit-health now'; do
        # shellcheck disable=SC2086  # the line is a command with its arguments
        run $line
        [[ $code == 2 ]] || broken "$line: exit code $code"
        expect_error 'hint: autogit-'
    done
}

# --- running the tests ----------------------------------------------------------------------------------------

# Every function below the expectations is a test, in the order of the file.
shopt -s extdebug
tests=$(compgen -A function | while read -r name; do declare -F "$name"; done | sort --key 2n | awk '{ print $1 }' \
    | grep --invert-match --line-regexp --extended-regexp 'stand_in|new_world|run|back_up|back_up_at|change_everything|broken|expect_.*')
shopt -u extdebug

passed=0
failed=0
for test in $tests; do
    [[ $test == *"${1:-}"* ]] || continue
    rm -f "$temporary/why"
    # In a subshell, so that a failed expectation ends only this test.
    # Not inside a condition, which would switch `errexit` off.
    set +e
    (
        set -e
        new_world "$test"
        "$test"
    )
    result=$?
    set -e
    if ((result == 0)); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "${test//_/ }"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "${test//_/ }"
        if [[ -e $temporary/why ]]; then sed 's/^/        /' "$temporary/why"; fi
    fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0 && passed > 0))
