//! Checks the secrets of a build: each named secret must exist, and each secret that the Dockerfile mounts
//! must be named. BuildKit itself would silently mount nothing.

use std::collections::BTreeMap;

use xtask_model::config::{SecretSource, ServiceConfig};
use xtask_model::dockerfile::Dockerfile;
use xtask_model::facts::ServiceFacts;
use xtask_model::failure::Failure;

use super::service::Context;

impl Context<'_> {
    /// The secrets of the configuration and the command line.
    pub(super) fn secrets(
        &self,
        service: &ServiceFacts,
        config: &ServiceConfig,
        dockerfile: &Dockerfile,
        build_args: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, SecretSource>, Failure> {
        if !self.options.purpose.makes_image() {
            return Ok(BTreeMap::new());
        }
        let mut secrets = config.secrets.clone();
        secrets.extend(self.options.secrets.clone());
        let present = &self.facts.environment.secrets_present;
        if let Some((id, source)) = secrets.iter().find(|(_, source)| !present.contains(source)) {
            return Err(missing(id, source));
        }
        let mounted = dockerfile.secrets(build_args, config.target.as_deref());
        match mounted.iter().find(|(id, _)| !secrets.contains_key(id)) {
            Some((id, line)) => Err(not_given(service, id, *line)),
            None => Ok(secrets),
        }
    }
}

fn missing(id: &str, source: &SecretSource) -> Failure {
    let (problem, hint) = match source {
        SecretSource::Env(name) => {
            (format!("`{name}` is not set"), format!("export {name}=…, then run it again"))
        }
        SecretSource::File(path) => (format!("no file `{path}`"), format!("ls -l {path}")),
    };
    Failure::usage(format!("the build secret `{id}` is missing: {problem}")).hint(hint)
}

fn not_given(service: &ServiceFacts, id: &str, line: usize) -> Failure {
    let variable = id.to_ascii_uppercase().replace(['-', '.'], "_");
    Failure::usage(format!(
        "{}/Dockerfile:{line}: the build secret `{id}` is mounted, but has no source",
        service.folder
    ))
    .hint(format!(
        "--secret id={id},env={variable}, or `{id} = \"env:{variable}\"` under \
         [workspace.metadata.images.services.{}.secrets]; `required=false` on the mount makes it optional",
        service.name
    ))
}
