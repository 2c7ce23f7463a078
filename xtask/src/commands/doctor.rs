//! `doctor`: what is wrong with this machine, the artifacts or the stack, and what to do about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::checkout::Checkout;
use crate::checks::judge::{self as doctor, Engine, Finding, Info, Level, Login};
use crate::checks::repairs::System;
use crate::cli;
use crate::commands::{Outcome, hosts};
use crate::docker::Docker;
use crate::docker::versions::{Kind, Trouble};
use crate::env::dialect::{self as env, Assignment};
use crate::stack::desired::{Config, Service};
use crate::system::ports::{self, Port};
use crate::system::{self, GitState};
use crate::terminal::{self, say};

/// All that `--json` prints.
#[derive(Serialize)]
struct Report {
    /// Whether nothing would stop `up`.
    well: bool,
    findings: Vec<Finding>,
}

pub fn run(project: &Checkout, verbose: bool, options: &cli::Doctor) -> anyhow::Result<Outcome> {
    let (mut findings, mut trouble) = examine(project, verbose)?;
    if options.fix && offer_fixes(project, trouble.as_ref(), verbose, options.yes)? {
        say!("looking again");
        (findings, trouble) = examine(project, verbose)?;
    }
    let well = findings.iter().all(|finding| finding.level != Level::Stops);
    if options.json {
        let report = Report { well, findings };
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        terminal::print(&findings.iter().map(render).collect::<String>())?;
        let fixable = trouble.is_some_and(|trouble| system().steps(trouble.kind).is_some());
        if fixable && !options.fix {
            say!("`cargo xtask doctor --fix` offers to mend the engine");
        }
    }
    Ok(if well {
        Outcome::Done
    } else {
        Outcome::NotDone
    })
}

/// Looks at everything; what keeps the engine from being used comes back apart.
fn examine(project: &Checkout, verbose: bool) -> anyhow::Result<(Vec<Finding>, Option<Trouble>)> {
    let mut findings = check_env_file(project)?;
    findings.push(check_hosts(project));
    let docker = match Docker::new(project, verbose) {
        Ok(docker) => docker,
        Err(error) => {
            findings.push(Finding::stops(
                ".env",
                format!("{error:#}"),
                "mend that line; the rest was not looked at",
            ));
            return Ok((findings, None));
        }
    };
    if let Err(error) = docker.check_engine() {
        findings.insert(
            0,
            Finding::stops(
                "engine",
                format!("{error:#}"),
                "the stack was not looked at",
            ),
        );
        return Ok((findings, error.downcast().ok()));
    }
    let info = docker.info()?;
    let compose = docker.read(docker.compose().args(["version", "--short"]))?;
    findings.insert(0, check_engine(project, &info, compose.trim()));
    let config = match docker.config() {
        Ok(config) => config,
        Err(error) => {
            let remedy =
                "`cargo xtask setup` makes what is missing in .env; an override may have an error";
            findings.push(Finding::stops("compose", format!("{error:#}"), remedy));
            return Ok((findings, None));
        }
    };
    let engine = docker.everything()?;
    let foreign = check_ours(project, &engine, &config);
    if foreign.is_empty() {
        findings.push(Finding::good(
            "names",
            format!("nothing else has those of the project {}", config.name),
        ));
    }
    findings.extend(foreign);
    findings.extend(check_ports(&docker, &engine, &config));
    findings.extend(check_mounts(project, &config));
    findings.extend(check_values(project, &config)?);
    findings.extend(check_images(&docker, &config, &info)?);

    let postgres = config.services.get("postgres");
    let volume = config
        .volumes
        .get("postgres_data")
        .map(|volume| volume.name.as_str());
    let volume = volume.filter(|volume| engine.volumes.iter().any(|it| it.name == *volume));
    let probe = postgres.and_then(|postgres| docker.probe(&postgres.image, volume));
    findings.extend(doctor::check_resources(&info, &config, probe.as_ref()));
    if let (Some(probe), Some(postgres)) = (&probe, postgres) {
        findings.push(probe.check(&postgres.image));
    }
    if let Some(running) = docker
        .containers(&config.name)?
        .get("postgres")
        .filter(|container| container.state.status == "running")
    {
        findings.extend(check_logins(project, &docker, &running.id)?);
    }
    Ok((findings, None))
}

fn check_engine(project: &Checkout, info: &Info, compose: &str) -> Finding {
    let rootless = if info.is_rootless() { ", rootless" } else { "" };
    let system = format!(
        "{} on {}, {}{rootless}; Compose {compose}",
        info.server_version, info.operating_system, info.architecture
    );
    let is_snap = system::find_on_path("docker").is_some_and(|path| path.starts_with("/snap"));
    let home = std::env::var_os("HOME").unwrap_or_default();
    match is_snap && !project.root().starts_with(home) {
        true => Finding::stops(
            "engine",
            format!("{system}: the snap package, which sees only folders below your home"),
            "move the checkout there, or `sudo snap remove docker` and install the distribution's own packages",
        ),
        false => Finding::good("engine", system),
    }
}

fn check_images(docker: &Docker, config: &Config, info: &Info) -> anyhow::Result<Vec<Finding>> {
    let names = || {
        config
            .services
            .values()
            .map(|service| service.image.as_str())
    };
    let images = docker.inspect_images(names())?;
    let missing: BTreeSet<&str> = names().filter(|name| !images.contains_key(*name)).collect();
    let mut findings = Vec::new();
    for (name, image) in &images {
        if image.architecture != info.image_architecture() {
            let finding = format!(
                "{name} is made for {}, the engine for {}",
                image.architecture, info.architecture
            );
            findings.push(Finding::stops(
                "images",
                finding,
                format!("`docker image rm {name}`, then `cargo xtask up`"),
            ));
        }
    }
    findings.push(match missing.is_empty() {
        true => Finding::good("images", format!("all {} are there", images.len())),
        false => {
            let missing: Vec<&str> = missing.into_iter().collect();
            Finding::good(
                "images",
                format!("`cargo xtask up` will pull {}", missing.join(", ")),
            )
        }
    });
    Ok(findings)
}

/// Whether `.env` is there, private and out of Git, and read alike by everybody.
fn check_env_file(project: &Checkout) -> anyhow::Result<Vec<Finding>> {
    let path = project.env_file();
    let name = project.display(&path);
    let Some(text) = system::read_text(&path)? else {
        return Ok(vec![Finding::warning(
            ".env",
            format!("there is no {name} yet"),
            "`cargo xtask setup` makes it",
        )]);
    };
    let mut findings = Vec::new();
    if system::is_private(&path)? {
        findings.push(Finding::good(".env", "readable for you alone"));
    } else {
        findings.push(Finding::warning(
            ".env",
            "readable for others",
            format!("`chmod 600 {name}`"),
        ));
    }
    match system::git_state(project.root(), &path) {
        Some(GitState::Committed) => {
            let remedy = format!("`git rm --cached {name}`, and change every secret in it");
            findings.push(Finding::warning(
                ".env",
                "is committed to Git, with its secrets",
                remedy,
            ));
        }
        Some(GitState::NotIgnored) => {
            let remedy = "`git checkout -- .gitignore deploy/analytics/.gitignore`";
            findings.push(Finding::warning(".env", "is not ignored by Git", remedy));
        }
        Some(GitState::Ignored) => findings.push(Finding::good(".env", "ignored by Git")),
        None => {}
    }
    // A file that cannot be parsed is reported by whoever needs it.
    let Ok(assignments) = env::parse(&text) else {
        return Ok(findings);
    };
    let template = system::read_text(&project.env_template())?.unwrap_or_default();
    let wanted = env::parse(&template).with_context(|| project.display(&project.env_template()))?;
    let lacks = |want: &&Assignment| {
        assignments
            .iter()
            .all(|assignment| assignment.key != want.key)
    };
    let missing: Vec<&str> = wanted
        .iter()
        .filter(lacks)
        .map(|want| want.key.as_str())
        .collect();
    if !missing.is_empty() {
        let finding = format!("lacks {}", missing.join(", "));
        findings.push(Finding::warning(
            ".env",
            finding,
            "`cargo xtask setup` adds them",
        ));
    }
    for assignment in &assignments {
        let is_reference = assignment.interpolates && assignment.value.contains('$');
        let read = dotenvy::from_read_iter(assignment.written(&text).as_bytes()).next();
        let is_same =
            read.is_some_and(|read| read.is_ok_and(|(_, value)| value == assignment.value));
        if !is_same && !is_reference {
            let finding = format!(
                "line {}: Compose and dotenv read {} differently",
                assignment.line, assignment.key
            );
            let remedy = "fine for this stack; for other readers put the value in single quotes";
            findings.push(Finding::warning(".env", finding, remedy));
        }
        let exported = std::env::var(&assignment.key)
            .ok()
            .filter(|exported| *exported != assignment.value);
        if exported.is_some() {
            let finding = format!(
                "your shell exports another {}, which plain `docker compose` prefers",
                assignment.key
            );
            findings.push(Finding::warning(
                ".env",
                finding,
                format!("`unset {}`; `cargo xtask` ignores it", assignment.key),
            ));
        }
    }
    Ok(findings)
}

fn check_hosts(project: &Checkout) -> Finding {
    match hosts::check(project, None, Duration::from_secs(1)) {
        Ok(check) => {
            let away = check.hostnames.iter().filter(|check| !check.leads_here());
            let away: Vec<String> = away.map(|check| check.hostname.to_string()).collect();
            match away.is_empty() {
                true => Finding::good("hosts", "the hostnames of .env lead here"),
                false => Finding::warning(
                    "hosts",
                    format!("{} does not lead here", away.join(", ")),
                    "`cargo xtask hosts`",
                ),
            }
        }
        Err(error) => Finding::warning(
            "hosts",
            format!("{error:#}"),
            "`cargo xtask hosts --check` says more",
        ),
    }
}

/// Whether the passwords of `.env` open PostgreSQL.
fn check_logins(
    project: &Checkout,
    docker: &Docker,
    container: &str,
) -> anyhow::Result<Vec<Finding>> {
    let text = system::read_text(&project.env_file())?.unwrap_or_default();
    let template = system::read_text(&project.env_template())?.unwrap_or_default();
    let value = |key: &str| -> anyhow::Result<String> {
        let value = env::value_of(&text, key)?;
        Ok(value.or(env::value_of(&template, key)?).unwrap_or_default())
    };
    let login = |role: &str, database: &str, password: &str| -> anyhow::Result<Login> {
        Ok(Login {
            role: role.to_owned(),
            database: value(database)?,
            password: value(password)?,
        })
    };
    let logins = [
        login(&value("POSTGRES_USER")?, "POSTGRES_DB", "POSTGRES_PASSWORD")?,
        login("umami", "UMAMI_DATABASE", "UMAMI_DATABASE_PASSWORD")?,
        login(
            "glitchtip",
            "GLITCHTIP_DATABASE",
            "GLITCHTIP_DATABASE_PASSWORD",
        )?,
    ];
    let running = logins
        .iter()
        .map(|login| docker.start_login(login, container));
    let running: Vec<_> = running.collect::<anyhow::Result<_>>()?;
    let refused: Vec<&str> = logins
        .iter()
        .zip(running)
        .filter_map(|(login, running)| running.finish().is_err().then_some(login.role.as_str()))
        .collect();
    Ok(vec![match refused.is_empty() {
        true => Finding::good("passwords", "PostgreSQL takes all three of .env"),
        false => Finding::warning(
            "passwords",
            format!(
                "PostgreSQL does not let {} in with what .env says",
                refused.join(", ")
            ),
            "`cargo xtask restart` sets the passwords to what .env says",
        ),
    }])
}

/// Offers each remedy that we can run; returns whether one was.
fn offer_fixes(
    project: &Checkout,
    trouble: Option<&Trouble>,
    verbose: bool,
    yes: bool,
) -> anyhow::Result<bool> {
    let mut has_run = false;
    let path = project.env_file();
    if path.exists() && !system::is_private(&path)? {
        let question = format!("Run `chmod 600 {}`?", project.display(&path));
        if yes || terminal::ask(&question)? {
            system::ensure_private(&path)?;
            has_run = true;
        }
    }
    let Some(trouble) = trouble else {
        return Ok(has_run);
    };
    if system().steps(trouble.kind).is_none() {
        say!("nothing that can be run from here mends the engine; see below");
    }
    Ok(fix_engine(&Docker::new(project, verbose)?, trouble, yes)? || has_run)
}

/// Offers to mend an engine that cannot be used; returns whether something was run.
///
/// # Errors
/// When a step fails; the next ones are not run then.
pub fn fix_engine(docker: &Docker, trouble: &Trouble, yes: bool) -> anyhow::Result<bool> {
    let Some(steps) = system().steps(trouble.kind) else {
        return Ok(false);
    };
    say!("{trouble}");
    for step in &steps {
        let sudo = if step.is_elevated && !system::is_root() {
            "sudo "
        } else {
            ""
        };
        if !yes && !terminal::ask(&format!("Run `{sudo}{}`?", step.command))? {
            return Ok(false);
        }
        say!("$ {sudo}{}", step.command);
        system::run_step(step)?;
    }
    if trouble.kind == Kind::NotPermitted {
        say!("the group counts from your next login on; until then: `newgrp docker`");
        return Ok(true);
    }
    // A daemon may answer a moment after it was started.
    let deadline = Instant::now() + PATIENCE;
    while docker.check_engine().is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(250));
    }
    Ok(true)
}

/// How long a daemon may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(20);

fn system() -> System<'static> {
    static RELEASE: LazyLock<String> = LazyLock::new(|| {
        system::read_text(Path::new("/etc/os-release"))
            .ok()
            .flatten()
            .unwrap_or_default()
    });
    static USER: LazyLock<String> = LazyLock::new(|| std::env::var("USER").unwrap_or_default());
    System {
        os: std::env::consts::OS,
        os_release: &RELEASE,
        has_systemd: Path::new("/run/systemd/system").is_dir(),
        has_colima: system::is_on_path("colima"),
        user: &USER,
    }
}

/// What can stop `up`, looked at before anything is started. Warnings are said.
///
/// # Errors
/// When something would stop it; all of that has been said.
pub fn preflight(project: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let engine = docker.everything()?;
    let mut findings = check_ours(project, &engine, config);
    findings.extend(check_ports(docker, &engine, config));
    findings.extend(check_mounts(project, config));
    findings.extend(check_values(project, config)?);
    findings.retain(|finding| finding.level != Level::Good);
    for finding in &findings {
        say!("{}", render(finding).trim_end());
    }
    match findings
        .iter()
        .filter(|finding| finding.level == Level::Stops)
        .count()
    {
        0 => Ok(()),
        1 => bail!("nothing was started, for the reason above"),
        count => bail!("nothing was started, for the {count} reasons above"),
    }
}

/// Stops a command that would touch the stack of another checkout.
pub fn ensure_ours(project: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    match docker
        .everything()?
        .other_checkout(&config.name, |folder| is_other_checkout(project, folder))
    {
        Some(finding) => bail!("{}; {}", finding.finding, finding.remedy),
        None => Ok(()),
    }
}

/// Who else has the port that a service publishes.
pub fn port_holder(docker: &Docker, config: &Config, service: &Service) -> Option<String> {
    let published = service.ports.first()?;
    let port = published.published.parse().ok()?;
    match docker.everything().ok()?.port_owner(port, &config.name) {
        Some(Err(container)) => Some(format!("the container {}", container.name)),
        Some(Ok(())) => None,
        None => match ports::look(&published.host_ip, port) {
            Port::Taken(holder) => holder,
            _ => None,
        },
    }
}

fn render(finding: &Finding) -> String {
    let (style, word) = match finding.level {
        Level::Good => (terminal::GREEN, "good"),
        Level::Warning => (terminal::BOLD, "warning"),
        Level::Stops => (terminal::RED, "stops"),
    };
    let line = format!(
        "{style}{word:7}{} {}: {}\n",
        terminal::RESET,
        finding.check,
        finding.finding
    );
    match finding.remedy.as_str() {
        "" => line,
        remedy => format!("{line}        remedy: {remedy}\n"),
    }
}

fn is_other_checkout(project: &Checkout, folder: &str) -> bool {
    let theirs = Path::new(folder);
    let is_same = fs::canonicalize(theirs).ok() == fs::canonicalize(project.stack()).ok();
    !is_same && theirs.join("docker-compose.yml").is_file()
}

fn check_ours(project: &Checkout, engine: &Engine, config: &Config) -> Vec<Finding> {
    match engine.other_checkout(&config.name, |folder| is_other_checkout(project, folder)) {
        Some(finding) => vec![finding],
        None => engine.taken_names(config),
    }
}

fn check_ports(docker: &Docker, engine: &Engine, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let published = config
        .services
        .iter()
        .flat_map(|(name, it)| it.ports.iter().map(move |port| (name, port)));
    for (service, published) in published {
        let Ok(port) = published.published.parse::<u16>() else {
            continue;
        };
        // Looked up for those that are taken alone: it takes Compose a fifth of a second.
        let moved = || match docker.variables().remove(service) {
            Some(variables) if !variables.port.is_empty() => {
                format!(
                    "or set {} in deploy/analytics/.env to a free port",
                    variables.port
                )
            }
            _ => {
                "or publish another port in deploy/analytics/docker-compose.override.yml".to_owned()
            }
        };
        findings.push(match engine.port_owner(port, &config.name) {
            Some(Ok(())) => Finding::good("ports", format!("{port} is ours")),
            Some(Err(container)) => Finding::stops(
                "ports",
                format!("{port}, for {service}, is taken by the container {}", container.name),
                format!("`docker stop {}`, {}", container.name, moved()),
            ),
            None => match ports::look(&published.host_ip, port) {
                Port::Free => Finding::good("ports", format!("{port} is free")),
                Port::NoSuchAddress => Finding::stops(
                    "ports",
                    format!("{} is no address of this machine", published.host_ip),
                    "set BIND_ADDRESS in deploy/analytics/.env to one that it has; 127.0.0.1 is the default",
                ),
                // With an engine on another machine our own ports say nothing.
                Port::Taken(_) if engine.is_remote() => continue,
                // By itself, it may be; if not, the engine refuses it by name.
                Port::Taken(_) if engine.has_restarting(&config.name) => continue,
                Port::Taken(holder) => {
                    let who = holder.clone().unwrap_or_else(|| "a process of another user".to_owned());
                    let by_hand = match holder.as_deref().and_then(|holder| holder.split_once("(pid ")) {
                        Some((_, pid)) => format!("`kill {}`", pid.trim_end_matches(')')),
                        None if cfg!(target_os = "linux") => format!("stop what `sudo ss -ltnp sport = :{port}` shows"),
                        None => format!("stop what `sudo lsof -iTCP:{port} -sTCP:LISTEN` shows"),
                    };
                    Finding::stops(
                        "ports",
                        format!("{port}, for {service}, is taken by {who}"),
                        format!("{by_hand}, {}", moved()),
                    )
                }
            },
        });
    }
    findings
}

/// The files of the checkout that containers read, none of which runs as the checkout's owner.
fn check_mounts(project: &Checkout, config: &Config) -> Vec<Finding> {
    let mounts = config
        .services
        .values()
        .flat_map(|service| &service.volumes)
        .filter(|mount| mount.kind == "bind");
    let sources: BTreeSet<&Path> = mounts.map(|mount| Path::new(&mount.source)).collect();
    let judge = |path: &Path| {
        let name = project.display(path);
        match system::is_readable_for_all(path) {
            Some(true) => None,
            Some(false) => Some(Finding::stops(
                "files",
                format!("{name} is readable for you alone, and the containers run as other users"),
                format!("`chmod a+r {name}`"),
            )),
            None => Some(Finding::stops(
                "files",
                format!("{name} is missing"),
                format!("`git checkout -- {name}`"),
            )),
        }
    };
    sources
        .into_iter()
        .filter(|path| path.starts_with(project.root()))
        .filter_map(judge)
        .collect()
}

fn check_values(project: &Checkout, config: &Config) -> anyhow::Result<Vec<Finding>> {
    let template = system::read_text(&project.env_template())?.unwrap_or_default();
    let known = env::template_variables(&template)
        .with_context(|| project.display(&project.env_template()))?;
    let port = config
        .services
        .get("glitchtip-web")
        .and_then(|service| service.ports.first());
    Ok(doctor::check_values(
        &project.env_assignments()?,
        &known,
        port.map_or("", |port| &port.published),
    ))
}
