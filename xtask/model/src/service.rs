//! The name of a service, which is also the name of its folder and the last part of its image's
//! repository. It must not know where services are found.

use super::reference::path_component;
use super::text::checked_text;

checked_text!(
    /// A service: a folder under `services/` with a Dockerfile. Its name is one path component of
    /// the OCI distribution grammar, for instance `git-server`.
    ServiceName,
    "service name",
    path_component
);
