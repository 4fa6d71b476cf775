//! What must hold before anything is published: credentials that may push, an engine with real bases, and
//! no value of a secret in what becomes public.

use anyhow::{Context, Result};

use crate::command::Command;
use crate::model::config::SecretSource;
use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::model::lab::ENGINE_LABEL;
use crate::outside::gather::is_job;
use crate::outside::login::Login;
use crate::outside::registry::Client;
use crate::outside::{environment, parallel};
use crate::plan::publish::{PublishPlan, ServicePublication, exposures};

use super::tag_writer::again;

/// The checks before a publication.
pub struct Preflight<'p> {
    pub command: &'p Command,
    pub facts: &'p Facts,
    pub client: &'p Client,
}

impl Preflight<'_> {
    /// Checks before any build that the credentials may push, and logs docker in with the job's token
    /// where there is one. Without a build, the first tag that is set shows as much.
    pub fn login(&self, plan: &PublishPlan, sign: bool) -> Result<Option<Login>> {
        let builds = plan.services.iter().any(|service| service.build.is_some());
        if builds {
            let may = |service: &ServicePublication| {
                again(|| self.client.may_push(&service.repository))
                    .with_context(|| format!("cannot push to `{}`", service.repository))
            };
            parallel::each(&plan.services, may).into_iter().collect::<Result<()>>()?;
            self.engine()?;
        } else if !sign {
            return Ok(None);
        }
        let runner = &self.command.runner;
        environment::job_login()
            .filter(|_| is_job(self.facts))
            .map(|(user, token)| Login::new(runner, self.facts.registry(), &user, &token))
            .transpose()
    }

    /// Outside the lab, refuses the lab's engine: its images may be based on stand-ins.
    fn engine(&self) -> Result<()> {
        let info = Invocation::new("docker", ["info", "--format={{json .Labels}}"]);
        if self.facts.lab.is_none()
            && self.command.runner.finish(&info)?.stdout.contains(ENGINE_LABEL)
        {
            return Err(Failure::refused(
                "this is the lab's engine, and the registry is not the lab's: the bases may be stand-ins",
            )
            .hint("cargo xtask push --lab; or unset DOCKER_HOST")
            .into());
        }
        Ok(())
    }

    /// Refuses to publish the value of a secret with an image.
    pub fn leaks(&self, plan: &PublishPlan) -> Result<()> {
        for exposure in exposures(plan, self.facts) {
            let root = &self.command.root;
            let Some(source) = environment::leaked(root, &exposure.secrets, &exposure.texts) else {
                continue;
            };
            let (what, name) = match &source {
                SecretSource::Env(name) => ("variable", name),
                SecretSource::File(path) => ("file", path),
            };
            let message = format!(
                "{} would publish the value of the secret {what} `{name}`: an argument, a label or \
                 the Dockerfile contains it",
                exposure.service
            );
            let hint =
                format!("mount it instead: --{}", crate::model::build::secret("NAME", &source));
            return Err(Failure::refused(message).hint(hint).into());
        }
        Ok(())
    }
}
