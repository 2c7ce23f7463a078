//! Proofs that what answers at an address is this stack, and not whatever else listens there. They come
//! before anything secret is sent. Must never send a secret.

use anyhow::bail;

use super::stores::Stores;
use crate::apps::glitchtip::GlitchTip;
use crate::apps::umami::{Event, Umami};
use crate::problem::Problem;
use crate::system::random;

/// Proves that a GlitchTip is ours: it is asked for a project with a random number, and what it notes of
/// that is found in our Redis and taken out again.
///
/// # Errors
/// When it is not ours, or cannot be asked.
pub fn prove_glitchtip(glitchtip: &GlitchTip, stores: &Stores) -> anyhow::Result<()> {
    let key = random::uuid();
    // Far above the numbers that projects have, and within what GlitchTip's database can hold.
    let project = 1_000_000_000 + u32::from_str_radix(&key[..7], 16).unwrap_or_default();
    glitchtip.be_refused(project, &key.replace('-', ""))?;
    if !stores.take_mark(&project.to_string())? {
        bail!(somebody_else("glitchtip-web", &glitchtip.url));
    }
    Ok(())
}

/// Proves that an Umami is ours: a page view with a random path that is sent to it arrives in our
/// PostgreSQL. The page view is still there afterwards.
///
/// # Errors
/// When it is not ours, or cannot be asked.
pub fn prove_umami(umami: &Umami, stores: &Stores, page_view: &Event) -> anyhow::Result<()> {
    let before = stores.count_page_views(&page_view.url_path)?;
    umami.send_event(page_view)?;
    if stores.count_page_views(&page_view.url_path)? == before {
        bail!(somebody_else("umami", &umami.url));
    }
    Ok(())
}

/// Recognizes our Umami without storing anything: it has our website, and none with a random id. Whoever
/// knows the website's id could pretend to, so this is no proof to send secrets on.
///
/// # Errors
/// When it is not ours, or cannot be asked.
pub fn recognize_umami(umami: &Umami, website_id: &str) -> anyhow::Result<()> {
    if umami.has_website(&random::uuid())? || !umami.has_website(website_id)? {
        let problem = somebody_else("umami", &umami.url);
        bail!(problem.hint(
            "if the website was deleted in Umami, `cargo xtask restart umami` makes it again"
        ));
    }
    Ok(())
}

fn somebody_else(service: &str, url: &str) -> Problem {
    Problem::new(format!(
        "what answers at {url} is not the {service} of this stack; no password was sent to it"
    ))
    .hint(format!(
        "stop the other program, or publish {service} elsewhere; `cargo xtask doctor` looks at the ports"
    ))
}
