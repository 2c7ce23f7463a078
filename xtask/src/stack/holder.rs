//! Who else has a port that the stack publishes.

use super::desired::Service;
use crate::docker::Docker;
use crate::system::ports::{self, Port};

/// Who else has the port that a service publishes.
pub fn port_holder(docker: &Docker, project: &str, service: &Service) -> Option<String> {
    let published = service.ports.first()?;
    let port = published.published.parse().ok()?;
    match docker.everything().ok()?.port_owner(port, project) {
        Some(Err(container)) => Some(format!("the container {}", container.name)),
        Some(Ok(())) => None,
        None => match ports::look(&published.host_ip, port) {
            Port::Taken(holder) => holder.map(|process| process.to_string()),
            _ => None,
        },
    }
}
