# The configuration of the Git server, for one small machine (4 GB of memory, a few dozen people).
#
# It is part of the image. What belongs to one installation comes from the environment, or from
# /etc/gitlab/gitlab.rb, which is read after this file and overrides it.

# `fetch` would accept an empty variable, which is what a compose file passes on for one not set.
setting = lambda do |name, default|
  value = ENV[name].to_s.strip
  value.empty? ? default : value
end

external_url setting.call('AUTOGIT_EXTERNAL_URL', 'http://localhost')

# The address is the one people type, the port is the container's: else nginx would listen inside on
# the port of the address, which nothing publishes, and on https without a certificate.
nginx['listen_port'] = 80
nginx['listen_https'] = false

# The port people reach SSH at, for the clone addresses GitLab shows; the container listens on 22.
gitlab_rails['gitlab_shell_ssh_port'] = Integer(setting.call('AUTOGIT_SSH_PORT', '22'))
gitlab_rails['time_zone'] = setting.call('TZ', 'UTC')

# Nobody registers on a private server; accounts are made by its administrator.
gitlab_rails['gitlab_signup_enabled'] = false
gitlab_rails['usage_ping_enabled'] = false

# Backups hold everything people have; nobody but root and GitLab reads them. The keep time is that
# of plain `gitlab-backup create`; `autogit-backup` reads the same variable for its own.
gitlab_rails['manage_backup_path'] = true
gitlab_rails['backup_path'] = '/var/opt/gitlab/backups'
gitlab_rails['backup_archive_permissions'] = 0o600
gitlab_rails['backup_keep_time'] = Integer(setting.call('AUTOGIT_BACKUP_KEEP_DAYS', '7')) * 24 * 60 * 60

# TLS ends at a proxy in front, or is set up in /etc/gitlab/gitlab.rb. An automatic attempt to get a
# certificate would fail the first start of every machine that cannot be reached from outside.
letsencrypt['enable'] = false

# Images live in another registry.
registry['enable'] = false
gitlab_pages['enable'] = false

# Memory. No cluster of workers: one process with threads, which saves some 300 MB per worker.
puma['worker_processes'] = 0
puma['min_threads'] = 1
puma['max_threads'] = 4
sidekiq['concurrency'] = 10
postgresql['shared_buffers'] = '256MB'
postgresql['max_connections'] = 100
# Return memory to the system soon instead of keeping it for growth that does not come.
gitlab_rails['env'] = { 'MALLOC_CONF' => 'dirty_decay_ms:1000,muzzy_decay_ms:1000' }
gitaly['env'] = { 'MALLOC_CONF' => 'dirty_decay_ms:1000,muzzy_decay_ms:1000' }

# Metrics nobody collects cost 500 MB.
prometheus_monitoring['enable'] = false

# The health of the server is asked for from inside the container only.
gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128']

# Logs are kept for a week, whatever their size.
logging['logrotate_frequency'] = 'daily'
logging['logrotate_rotate'] = 7
