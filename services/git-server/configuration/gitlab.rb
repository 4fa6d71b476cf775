# The configuration of the Git server, for one small machine (4 GB of memory, a few dozen people).
#
# It is part of the image. The settings of one installation come from the environment, or from
# /etc/gitlab/gitlab.rb, which is read after this file and overrides it.

# `fetch` would accept an empty variable, which a compose file passes on for one that is not set.
setting = lambda do |name, default|
  value = ENV[name].to_s.strip
  value.empty? ? default : value
end

external_url setting.call('AUTOGIT_EXTERNAL_URL', 'http://localhost')

# The address is the one that people type; the port is the container's. Otherwise nginx would listen on the
# port of the address, which is not published, and for https without a certificate.
nginx['listen_port'] = 80
nginx['listen_https'] = false

# The SSH port in the clone addresses that GitLab shows; the container itself listens on 22.
gitlab_rails['gitlab_shell_ssh_port'] = Integer(setting.call('AUTOGIT_SSH_PORT', '22'))
gitlab_rails['time_zone'] = setting.call('TZ', 'UTC')

# Nobody registers on a private server: its administrator creates the accounts.
gitlab_rails['gitlab_signup_enabled'] = false
gitlab_rails['usage_ping_enabled'] = false

# Backups contain all data, so only root and GitLab may read them. This keep time is for plain
# `gitlab-backup create`; `autogit-backup` reads the same variable for its own backups.
gitlab_rails['manage_backup_path'] = true
gitlab_rails['backup_path'] = '/var/opt/gitlab/backups'
gitlab_rails['backup_archive_permissions'] = 0o600
gitlab_rails['backup_keep_time'] = Integer(setting.call('AUTOGIT_BACKUP_KEEP_DAYS', '7')) * 24 * 60 * 60

# A proxy terminates TLS, or /etc/gitlab/gitlab.rb sets it up. An automatic request for a certificate would
# fail the first start of every machine that cannot be reached from outside.
letsencrypt['enable'] = false

# Images are in a different registry.
registry['enable'] = false
gitlab_pages['enable'] = false

# Memory: one process with threads instead of several workers saves about 300 MB for each worker.
puma['worker_processes'] = 0
puma['min_threads'] = 1
puma['max_threads'] = 4
sidekiq['concurrency'] = 10
postgresql['shared_buffers'] = '256MB'
postgresql['max_connections'] = 100
# Return memory to the system soon instead of keeping it in reserve.
gitlab_rails['env'] = { 'MALLOC_CONF' => 'dirty_decay_ms:1000,muzzy_decay_ms:1000' }
gitaly['env'] = { 'MALLOC_CONF' => 'dirty_decay_ms:1000,muzzy_decay_ms:1000' }

# Nobody collects the metrics, and they need 500 MB.
prometheus_monitoring['enable'] = false

# Only health checks inside the container may read the health of the server.
gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128']

# Logs are kept for a week, whatever their size.
logging['logrotate_frequency'] = 'daily'
logging['logrotate_rotate'] = 7
