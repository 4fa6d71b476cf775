# AutoGit's settings of GitLab, loaded through GITLAB_OMNIBUS_CONFIG. What a person puts into
# /etc/gitlab/gitlab.rb is read after it and wins.

external_url ENV.fetch('AUTOGIT_EXTERNAL_URL', 'http://localhost')

# A small instance: one team, one machine.
puma['worker_processes'] = 2
sidekiq['max_concurrency'] = 10
postgresql['shared_buffers'] = '256MB'
prometheus_monitoring['enable'] = false
gitlab_rails['env'] = { 'MALLOC_CONF' => 'dirty_decay_ms:1000,muzzy_decay_ms:1000' }

# Images live on the GitHub Container Registry, pages and chat elsewhere.
registry['enable'] = false
gitlab_pages['enable'] = false
mattermost['enable'] = false

gitlab_rails['gitlab_signup_enabled'] = false
gitlab_rails['usage_ping_enabled'] = false
gitlab_rails['initial_root_password'] = ENV['AUTOGIT_ROOT_PASSWORD'] if ENV['AUTOGIT_ROOT_PASSWORD']

# autogit-backup keeps what it makes; this is for those made by hand.
gitlab_rails['backup_path'] = '/var/opt/gitlab/backups'
gitlab_rails['backup_keep_time'] = 0

# The health check asks from inside the container.
gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128']
