//! `connect`: what the website's code needs. Looks, changes nothing, and prints nothing secret.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;

use crate::apps::connection::{self, Connection};
use crate::apps::glitchtip::{self, GlitchTip, Reader};
use crate::apps::http::Direct;
use crate::apps::umami::Umami;
use crate::checkout::Checkout;
use crate::cli::{self, Format};
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::env::settings::Settings;
use crate::problem::Problem;
use crate::stack;
use crate::stack::desired::Config;
use crate::stack::published::Endpoint;
use crate::system::resolver;
use crate::terminal;
use crate::verification::ours;
use crate::verification::public::{self, Address, PublicWay};
use crate::verification::stores::Stores;

/// How long a hostname may take to resolve.
const PATIENCE: Duration = Duration::from_millis(300);

pub fn run(checkout: &Checkout, options: &cli::Connect) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    let config = stack::read_config(&docker)?;
    let containers = docker.containers(&config.name)?;
    let settings = &docker.settings();
    let stack = Observed {
        settings,
        config: &config,
        containers: &containers,
        stores: Stores::new(settings, &docker, &config, &containers),
        way: PublicWay::new(&docker, containers.get("umami")),
    };

    let connection = Connection {
        umami: stack.umami()?,
        glitchtip: stack.glitchtip()?,
    };

    terminal::print(&match options.format {
        Format::Text => connection.render_text(),
        Format::Env => connection.render_env(),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&connection)?),
    })?;
    Ok(Outcome::Done)
}

/// The stack as it runs.
struct Observed<'a> {
    settings: &'a Settings,
    config: &'a Config,
    containers: &'a BTreeMap<String, Container>,
    stores: Stores<'a>,
    way: PublicWay<'a>,
}

impl Observed<'_> {
    fn umami(&self) -> anyhow::Result<connection::Umami> {
        let endpoint = Endpoint::of(self.config, self.containers, "umami")?;
        let website_id = self.settings.umami.website_id.get()?.clone();
        let check = |url: &str| {
            let umami = Umami {
                url: url.to_owned(),
                transport: self.way.transport(url),
            };
            umami.check_answers()?;
            ours::recognize_umami(&umami, &website_id)
        };
        check(&endpoint.url()).map_err(|error| start_it(&error))?;

        let public = match public::parse_umami_url(&self.settings.umami.url)? {
            Some(url) => Address::Public(url),
            None => Address::of(&endpoint.url_at(&self.settings.umami.hostname)),
        };
        let url = choose_url(&public, &endpoint, check);
        Ok(connection::Umami::new(url, website_id))
    }

    fn glitchtip(&self) -> anyhow::Result<connection::GlitchTip> {
        let endpoint = Endpoint::of(self.config, self.containers, "glitchtip-web")?;
        let check = |url: &str| {
            let glitchtip = GlitchTip {
                url: url.to_owned(),
                transport: self.way.transport(url),
            };
            glitchtip.check_answers()?;
            ours::prove_glitchtip(&glitchtip, &self.stores)
        };
        check(&endpoint.url()).map_err(|error| start_it(&error))?;

        let glitchtip = GlitchTip {
            url: endpoint.url(),
            transport: &Direct,
        };
        let reader = Reader {
            glitchtip: &glitchtip,
            token: self.settings.glitchtip.api_token.get()?.expose(),
        };
        let projects = reader.projects()?;
        let site = glitchtip::find_site(&projects, &self.settings.glitchtip.project);
        let site = site.context(
            Problem::new("GlitchTip has no project for the website")
                .hint("make one with `cargo xtask restart glitchtip-web`"),
        )?;
        let dsn = reader.dsn(site)?;
        let url = choose_url(&Address::of(&dsn.url), &endpoint, check);
        Ok(connection::GlitchTip {
            project: site.name.clone(),
            dsn: dsn.at(&url),
            url,
        })
    }
}

/// The address to print. A name that is meant for this machine alone is taken only if it leads to the
/// application; a public one in any case, since it is what others will use.
fn choose_url(
    address: &Address,
    endpoint: &Endpoint,
    check: impl Fn(&str) -> anyhow::Result<()>,
) -> String {
    let url = address.url();
    match address {
        Address::Public(_) => {
            if let Err(error) = check(url) {
                let Problem { what, hint, .. } = Problem::of(&error);
                let what = format!("{url} was tried and does not lead to this stack yet: {what}");
                let hint =
                    hint.unwrap_or_else(|| "`cargo xtask verify --public` repeats this".into());
                terminal::say_warning(&Problem::new(what).hint(hint));
            }
            url.to_owned()
        }
        Address::Local { hostname, .. } => {
            let names = [hostname.clone()].into_iter();
            let local = endpoint.shown_url();
            if resolver::resolve(names, PATIENCE).concat().is_empty() {
                let what = format!("{hostname} does not resolve here; using {local} instead");
                let hint = "`cargo xtask hosts` makes it resolve";
                terminal::say_warning(&Problem::new(what).hint(hint));
                return local;
            }
            if let Err(error) = check(url) {
                let what = format!("{url} does not lead to this stack; using {local} instead");
                let why = Problem::of(&error).what;
                terminal::say_warning(&Problem::new(what).evidence(why));
                return local;
            }
            url.to_owned()
        }
    }
}

/// The error with a hint, if it has none.
fn start_it(error: &anyhow::Error) -> Problem {
    let problem = Problem::of(error);
    match problem.hint {
        Some(_) => problem,
        None => problem.hint("start the stack with `cargo xtask up`"),
    }
}
