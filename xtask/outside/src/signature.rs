//! Verifies signatures of images with cosign or GitHub's own program.

use anyhow::Result;

use xtask_model::config::Signed;
use xtask_model::inspection::Signature;
use xtask_model::invocation::Invocation;
use xtask_model::reference::{Reference, Repository};

use super::environment;
use super::process::Runner;

/// The key for cosign; without it, a job of the repository must have signed the image.
const KEY: &str = "COSIGN_PUBLIC_KEY";

/// Verifies that `repository` signed `image`, or that it was signed with the key in the environment.
pub fn verified(
    runner: &Runner,
    signed: Signed,
    image: &Reference,
    repository: &Repository,
) -> Result<Signature> {
    let call = match signed {
        Signed::Cosign => cosign(image, repository, environment::text(KEY).is_some()),
        Signed::GitHub => {
            let image = format!("oci://{image}");
            Invocation::new("gh", ["attestation", "verify", &image, "--repo", repository.as_str()])
        }
    };
    if which::which(&call.program).is_err() {
        return Ok(Signature::NoProgram);
    }
    let finished = runner.finish(&call)?;
    if finished.success() {
        return Ok(Signature::Verified);
    }
    let mut lines = finished.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Signature::Refused { message: lines.next_back().unwrap_or("no reason given").to_owned() })
}

fn cosign(image: &Reference, repository: &Repository, with_key: bool) -> Invocation {
    let mut arguments = vec!["verify".to_owned()];
    if with_key {
        arguments.push(format!("--key=env://{KEY}"));
    } else {
        let issuer = "https://token.actions.githubusercontent.com";
        arguments.push(format!("--certificate-oidc-issuer={issuer}"));
        // Without a key, the signer is a workflow of the repository. Its name must not act as a pattern.
        let name = repository.as_str().replace('.', "\\.");
        arguments.push(format!("--certificate-identity-regexp=(?i)^https://github\\.com/{name}/"));
    }
    arguments.push(image.to_string());
    Invocation::new("cosign", arguments)
}
