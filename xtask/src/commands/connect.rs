//! `connect`: what the website's code needs. Looks, changes nothing, and prints nothing secret.

use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::apps::connection::{self, Connection};
use crate::apps::glitchtip::{self, GlitchTip};
use crate::apps::umami::Umami;
use crate::checkout::Checkout;
use crate::cli::{self, Format};
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::env::settings::Settings;
use crate::problem::Problem;
use crate::stack;
use crate::stack::published::Endpoint;
use crate::system::resolver;
use crate::terminal::{self, say};

/// How long a hostname may take to resolve.
const PATIENCE: Duration = Duration::from_millis(300);

pub fn run(checkout: &Checkout, options: &cli::Connect) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    let config = stack::read_config(&docker)?;
    let containers = docker.containers(&config.name)?;
    let url = |service| Ok::<_, Problem>(Endpoint::of(&config, &containers, service)?.url());
    let settings = Settings::read(checkout)?;
    let umami = Umami { url: url("umami")? };
    let glitchtip = GlitchTip {
        url: url("glitchtip-web")?,
        token: settings.glitchtip.api_token.get()?.expose().to_owned(),
    };
    let answers = umami
        .check_answers()
        .and_then(|()| glitchtip.check_answers());
    answers.map_err(|error| anyhow!("{error:#}; start the stack with `cargo xtask up`"))?;

    let website_id = settings.umami.website_id.get()?.clone();
    let projects = glitchtip.projects()?;
    let site = glitchtip::find_site(&projects, &settings.glitchtip.project);
    let site = site.context(
        "GlitchTip has no project for the website; `cargo xtask restart glitchtip-web` makes one",
    )?;
    let dsn = glitchtip.dsn(site)?;

    let port = umami.url.rsplit(':').next().unwrap_or_default();
    let public = format!("http://{}:{port}", settings.umami.hostname);
    let umami_url = choose_url(public, &umami.url, |url| Umami { url }.check_answers());
    let token = &glitchtip.token;
    let glitchtip_url = choose_url(dsn.url.clone(), &glitchtip.url, |url| {
        GlitchTip {
            url,
            token: token.clone(),
        }
        .check_answers()
    });
    let connection = Connection {
        umami: connection::Umami::new(umami_url, website_id),
        glitchtip: connection::GlitchTip {
            project: site.name.clone(),
            dsn: dsn.at(&glitchtip_url),
            url: glitchtip_url,
        },
    };
    terminal::print(&match options.format {
        Format::Text => connection.render_text(),
        Format::Env => connection.render_env(),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&connection)?),
    })?;
    Ok(Outcome::Done)
}

/// The public URL if it leads to the application from here, else the one on localhost. HTTPS is for
/// others to judge: it means a proxy in front.
fn choose_url(public: String, local: &str, check: impl Fn(String) -> anyhow::Result<()>) -> String {
    let host = public.split_once("://").map_or(&*public, |(_, host)| host);
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, _)| name)
        .to_owned();
    if resolver::resolve([name.clone()].into_iter(), PATIENCE)
        .concat()
        .is_empty()
    {
        say!(
            "{name} does not resolve here, so this names {local}; `cargo xtask hosts` makes it resolve"
        );
        return local.to_owned();
    }
    if !public.starts_with("https:") && check(public.clone()).is_err() {
        say!("{public} does not lead to the application, so this names {local}");
        return local.to_owned();
    }
    public
}
