//! The part of a compose file that has to agree with the plan: images, build contexts, cache sources
//! and ports of its services.
//!
//! Source: the Compose specification.

use super::yaml::{Entry, Node, Placed, YamlError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeService {
    pub name: String,
    pub line: usize,
    pub image: Option<Placed>,
    pub context: Option<Placed>,
    pub cache_from: Vec<Placed>,
    /// The port inside the container of each published one.
    pub ports: Vec<Placed>,
}

/// The services of a compose file, in its order.
pub fn services(text: &str) -> Result<Vec<ComposeService>, YamlError> {
    let root = Node::parse(text)?;
    let services = root.get("services").ok_or_else(|| YamlError::new(1, "it has no `services`"))?;
    services.entries().iter().map(service).collect()
}

fn service(Entry { key, line, value }: &Entry) -> Result<ComposeService, YamlError> {
    let build = value.get("build");
    let context = match build {
        Some(node) if node.text().is_some() => Some(node),
        Some(node) => node.get("context"),
        None => None,
    };
    let cache_from = build.and_then(|build| build.get("cache_from"));
    let ports = value.get("ports").map(Node::texts).unwrap_or_default();
    Ok(ComposeService {
        name: key.clone(),
        line: *line,
        image: value.get("image").map(|node| node.placed("image")).transpose()?,
        context: context.map(|node| node.placed("build.context")).transpose()?,
        cache_from: cache_from.map(Node::texts).unwrap_or_default(),
        ports: ports
            .into_iter()
            .map(|port| Placed { text: inner_port(&port.text).to_owned(), ..port })
            .collect(),
    })
}

/// `127.0.0.1:8929:80/tcp` publishes the container's port 80.
fn inner_port(text: &str) -> &str {
    let inner = text.rsplit(':').next().unwrap_or(text);
    inner.split('/').next().unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_in_both_forms_of_build() {
        let text = "services:\n  a:\n    image: r/a:1\n    build: services/a\n    ports: ['8929:80/tcp']\n  \
                    b:\n    build:\n      context: services/b\n      cache_from: [x, y]\n";
        let services = services(text).unwrap();
        assert_eq!(services[0].context.as_ref().unwrap().text, "services/a");
        assert_eq!(services[0].ports[0].text, "80");
        assert_eq!(services[1].cache_from.len(), 2);
        assert_eq!(services[1].line, 6);
    }
}
