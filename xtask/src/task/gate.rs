//! What must hold before anything is published: credentials that allow it, an engine whose bases are
//! real, and no value of a secret in what becomes public.

use anyhow::Result;

use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::model::lab::ENGINE_LABEL;
use crate::model::publication::Published;
use crate::outside::environment;
use crate::outside::gather::is_job;
use crate::outside::login::Login;
use crate::outside::registry::Client;
use crate::plan::push::{self, PublishPlan};

use super::Start;
use super::publish::again;

pub(super) use crate::outside::gather::client;

/// What stands between a plan and its publication.
pub(super) struct Gate<'g> {
    pub start: &'g Start,
    pub facts: &'g Facts,
    pub client: &'g Client,
}

impl Gate<'_> {
    /// Asks whether the credentials allow it, before the work and not after, and logs docker in with
    /// the job's token where there is one.
    pub fn login(&self, plan: &PublishPlan) -> Result<Option<Login>> {
        let Some(first) = plan.services.iter().find(|service| service.build.is_some()) else {
            return Ok(None);
        };
        again(|| self.client.may_push(&first.repository))?;
        let runner = &self.start.runner;
        if self.facts.lab.is_none() {
            let info = Invocation::new("docker", ["info", "--format={{json .Labels}}"]);
            if runner.finish(&info)?.stdout.contains(ENGINE_LABEL) {
                return Err(Failure::refused(
                    "this engine is the lab's, whose bases may be stand-ins, and the registry is not",
                )
                .hint("cargo xtask push --lab; or unset DOCKER_HOST")
                .into());
            }
        }
        environment::job_login()
            .filter(|_| is_job(self.facts))
            .map(|(user, token)| Login::new(runner, self.facts.registry(), &user, &token))
            .transpose()
    }

    /// No value of a secret may be published with an image.
    pub fn leaks(&self, plan: &PublishPlan) -> Result<()> {
        for exposure in push::exposures(plan, self.facts) {
            let names: Vec<&str> = exposure.secrets.iter().map(String::as_str).collect();
            if let Some(name) = environment::leaked(&names, &exposure.texts) {
                let message = format!(
                    "the value of the secret variable `{name}` would be published with {}: it \
                     stands in an argument, a label or the Dockerfile",
                    exposure.service
                );
                return Err(Failure::refused(message)
                    .hint(format!("mount it instead: --secret id=NAME,env={name}"))
                    .into());
            }
        }
        Ok(())
    }
}

/// Signs what was published, by digest. The key never passes through here.
pub(super) fn sign(start: &Start, published: &Published) -> Result<()> {
    let Some(digest) = &published.digest else { return Ok(()) };
    if which::which("cosign").is_err() {
        return Err(Failure::failed("`--sign` needs cosign, which is not on the PATH")
            .hint("https://docs.sigstore.dev/cosign/system_config/installation")
            .into());
    }
    let mut arguments = vec!["sign".to_owned(), "--yes".to_owned()];
    if let Some(key) = environment::text("COSIGN_KEY") {
        arguments.push(format!("--key={key}"));
    }
    arguments.push(published.repository.at(digest.clone()).to_string());
    start.runner.output(&Invocation::new("cosign", arguments)).map(drop)
}
