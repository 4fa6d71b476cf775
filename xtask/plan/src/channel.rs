//! Decides the channel of a command, from the command line or the GitHub job.

use xtask_model::channel::Channel;
use xtask_model::facts::GitHubJob;
use xtask_model::failure::Failure;

use super::Choice;

/// Decides the channel. A pull request never gets a channel that publishes, not even with `--channel`.
pub fn channel(
    named: Option<Channel>,
    github: Option<&GitHubJob>,
) -> Result<(Channel, Choice), Failure> {
    let (found, reason) = detected(github);
    let (channel, reason) = match named {
        Some(named) => (named, "named on the command line".to_owned()),
        None => (found, reason),
    };
    if channel.publishes() && github.is_some_and(|job| is_pull_request(&job.event)) {
        let message = format!("a pull request never publishes, and the channel is `{channel}`");
        return Err(Failure::refused(message).hint("cargo xtask build --channel pr"));
    }
    Ok((channel, Choice::new("channel", channel, reason)))
}

fn detected(github: Option<&GitHubJob>) -> (Channel, String) {
    let Some(job) = github else {
        return (Channel::Local, "not a GitHub job".to_owned());
    };
    let GitHubJob { event, reference, .. } = job;
    let shown = format!("GitHub event `{event}` on `{reference}`");
    if is_pull_request(event) {
        return (Channel::Pr, shown);
    }
    if reference == "refs/heads/dev" {
        return (Channel::Dev, shown);
    }
    let version = reference.strip_prefix("refs/tags/v").map(semver::Version::parse);
    if matches!(version, Some(Ok(_))) {
        return (Channel::Release, shown);
    }
    (Channel::Pr, format!("{shown} is neither the dev branch nor a version tag"))
}

fn is_pull_request(event: &str) -> bool {
    matches!(event, "pull_request" | "pull_request_target" | "pull_request_review" | "merge_group")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, reference: &str, expected: &str) {
        let job = GitHubJob {
            event: event.to_owned(),
            reference: reference.to_owned(),
            ..GitHubJob::default()
        };
        let (channel, _) = channel(None, Some(&job)).unwrap();
        assert_eq!(channel.to_string(), expected, "{event} {reference}");
    }

    #[test]
    fn the_github_job_decides_the_channel() {
        check("push", "refs/heads/dev", "dev");
        check("workflow_dispatch", "refs/heads/dev", "dev");
        check("push", "refs/tags/v1.2.3", "release");
        check("push", "refs/tags/v1.2.3-rc.1", "release");
        check("push", "refs/tags/v1.2", "pr");
        check("push", "refs/heads/feature/x", "pr");
        check("pull_request", "refs/pull/7/merge", "pr");
        check("pull_request_target", "refs/heads/dev", "pr");
        check("merge_group", "refs/heads/dev", "pr");
    }

    #[test]
    fn without_a_job_the_channel_is_local() {
        assert_eq!(channel(None, None).unwrap().0, Channel::Local);
        assert_eq!(channel(Some(Channel::Dev), None).unwrap().0, Channel::Dev);
    }

    #[test]
    fn a_pull_request_never_publishes() {
        let job = GitHubJob { event: "pull_request".to_owned(), ..GitHubJob::default() };
        for named in [Channel::Dev, Channel::Release] {
            let failure = channel(Some(named), Some(&job)).unwrap_err();
            assert_eq!(failure.exit, xtask_model::failure::Exit::Refused);
        }
        assert_eq!(channel(Some(Channel::Pr), Some(&job)).unwrap().0, Channel::Pr);
    }
}
