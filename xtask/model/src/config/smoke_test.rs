//! The smoke test of an image: how the image is started, and its expected answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reader::Section;
use super::values::variable;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::spelling::nearest;

/// How a built image is started, and its expected answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeTest {
    /// The HTTP port inside the container, if there is one.
    pub port: Option<u16>,
    pub path: String,
    /// The HTTP status expected.
    pub status: u16,
    /// Text the body must contain.
    pub body: Option<String>,
    /// Capabilities given back after all are dropped.
    pub capabilities: Vec<String>,
    pub read_only: bool,
    /// Folders that stay writable.
    pub tmpfs: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The time within which the image's health check must pass.
    pub timeout: Duration,
    /// The time within which it must stop after SIGTERM.
    pub stop_timeout: Duration,
}

impl Default for SmokeTest {
    fn default() -> Self {
        Self {
            port: None,
            path: "/".to_owned(),
            status: 200,
            body: None,
            capabilities: Vec::new(),
            read_only: false,
            tmpfs: Vec::new(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

impl SmokeTest {
    /// The call that starts `image` as the container `name`. It drops all capabilities, and the
    /// configuration gives back those that are needed.
    pub fn start(&self, name: &str, image: &str) -> Invocation {
        let mut arguments: Vec<String> =
            ["run", "--detach", "--cap-drop=ALL"].map(Into::into).into();
        arguments.push("--security-opt=no-new-privileges".to_owned());
        arguments.push(format!("--name={name}"));
        arguments.extend(self.capabilities.iter().map(|name| format!("--cap-add={name}")));
        if self.read_only {
            arguments.push("--read-only".to_owned());
        }
        arguments.extend(self.tmpfs.iter().map(|path| format!("--tmpfs={path}")));
        let variables = self.environment.iter();
        arguments.extend(variables.map(|(name, value)| format!("--env={name}={value}")));
        if let Some(port) = self.port {
            arguments.push(format!("--publish=127.0.0.1::{port}"));
        }
        arguments.push(image.to_owned());
        Invocation::new("docker", arguments)
    }
}

pub(super) fn read(mut section: Section<'_>) -> Result<SmokeTest, Failure> {
    let defaults = SmokeTest::default();
    let port = section.number("port", 1..=65_535)?;
    let status = section.number("status", 100..=599)?;
    let timeout = section.number("timeout-seconds", 1..=3_600)?;
    let stop_timeout = section.number("stop-timeout-seconds", 1..=600)?;
    let config = SmokeTest {
        port: port.and_then(|port| u16::try_from(port).ok()),
        path: section.read("path", absolute_path)?.unwrap_or(defaults.path),
        status: status.and_then(|s| u16::try_from(s).ok()).unwrap_or(defaults.status),
        body: section.parsed("body")?,
        capabilities: section.list("capabilities", capability)?.unwrap_or_default(),
        read_only: section.boolean("read-only")?.unwrap_or(defaults.read_only),
        tmpfs: section.list("tmpfs", absolute_path)?.unwrap_or_default(),
        environment: section
            .pairs("environment", |name, value| variable(name, value).map(|()| value.to_owned()))?,
        timeout: timeout.map_or(defaults.timeout, Duration::from_secs),
        stop_timeout: stop_timeout.map_or(defaults.stop_timeout, Duration::from_secs),
    };
    section.finish()?;
    Ok(config)
}

/// Reads an absolute path without spaces, commas or control characters.
fn absolute_path(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_graphic() && c != ',';
    if text.starts_with('/') && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}`: expected a path that begins with `/`", text.escape_debug()))
    }
}

/// All Linux capabilities, from linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Reads a Linux capability as the engine names it, without `CAP_`.
fn capability(text: &str) -> Result<String, String> {
    if CAPABILITIES.contains(&text) {
        return Ok(text.to_owned());
    }
    let upper = text.to_ascii_uppercase();
    let near = nearest(upper.strip_prefix("CAP_").unwrap_or(&upper), CAPABILITIES);
    let advice = near.map_or_else(
        || "expected a capability, such as `CHOWN`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Err(format!("`{}`: {advice}", text.escape_debug()))
}
