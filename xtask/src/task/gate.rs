//! What must hold before anything is published: credentials that allow it, an engine whose bases are
//! real, and no value of a secret in what becomes public.

use anyhow::{Context, Result};

use crate::model::config::SecretSource;
use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::model::lab::ENGINE_LABEL;
use crate::outside::gather::is_job;
use crate::outside::login::Login;
use crate::outside::registry::Client;
use crate::outside::{environment, parallel};
use crate::plan::push::{self, PublishPlan, ServicePublication};

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
    /// Asks whether the credentials allow it, before the work and not after, and logs docker in with the
    /// job's token where there is one. Where nothing is built the first tag that is set tells as much.
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
        let runner = &self.start.runner;
        environment::job_login()
            .filter(|_| is_job(self.facts))
            .map(|(user, token)| Login::new(runner, self.facts.registry(), &user, &token))
            .transpose()
    }

    /// What the lab's engine builds may stand on stand-ins, and is the lab's.
    fn engine(&self) -> Result<()> {
        let info = Invocation::new("docker", ["info", "--format={{json .Labels}}"]);
        if self.facts.lab.is_none()
            && self.start.runner.finish(&info)?.stdout.contains(ENGINE_LABEL)
        {
            return Err(Failure::refused(
                "this engine is the lab's, whose bases may be stand-ins, and the registry is not",
            )
            .hint("cargo xtask push --lab; or unset DOCKER_HOST")
            .into());
        }
        Ok(())
    }

    /// No value of a secret may be published with an image.
    pub fn leaks(&self, plan: &PublishPlan) -> Result<()> {
        for exposure in push::exposures(plan, self.facts) {
            let root = &self.start.root;
            let Some(source) = environment::leaked(root, &exposure.secrets, &exposure.texts) else {
                continue;
            };
            let (what, name) = match &source {
                SecretSource::Env(name) => ("variable", name),
                SecretSource::File(path) => ("file", path),
            };
            let message = format!(
                "the value of the secret {what} `{name}` would be published with {}: it stands in \
                 an argument, a label or the Dockerfile",
                exposure.service
            );
            let hint =
                format!("mount it instead: --{}", crate::model::build::secret("NAME", &source));
            return Err(Failure::refused(message).hint(hint).into());
        }
        Ok(())
    }
}
