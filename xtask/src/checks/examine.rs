//! Everything that `doctor` looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use super::judge::{self, Finding, Login, Probe};
use super::{files, names, ports, preflight};
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::Info;
use crate::docker::invocation::Running;
use crate::docker::versions::Trouble;
use crate::env::dialect as env;
use crate::env::file;
use crate::env::settings::{Secret, Setting, Settings};
use crate::env::template::Variable;
use crate::hosts;
use crate::problem::Problem;
use crate::stack;
use crate::stack::desired::Config;
use crate::system::git::{GitState, git_state};
use crate::system::{self, process};

/// Looks at everything; what keeps the engine from being used comes back apart.
pub fn examine(project: &Checkout) -> anyhow::Result<(Vec<Finding>, Option<Trouble>)> {
    let mut findings = check_env_file(project)?;
    findings.push(check_hosts(project));
    let docker = match Docker::new(project) {
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
    let compose = docker.compose().args(["version", "--short"]).text()?;
    findings.insert(0, check_engine(project, &info, compose.trim()));
    let config = match stack::read_config(&docker) {
        Ok(config) => config,
        Err(error) => {
            let problem = Problem::of(&error);
            let hint = problem.hint.unwrap_or_default();
            findings.push(Finding::stops("compose", problem.what, hint));
            findings.extend(preflight::check_values(project, None)?);
            return Ok((findings, None));
        }
    };
    let engine = docker.everything()?;
    let foreign = names::check_ours(project, &engine, &config);
    if foreign.is_empty() {
        findings.push(Finding::good(
            "names",
            format!("nothing else has those of the project {}", config.name),
        ));
    }
    findings.extend(foreign);
    findings.extend(ports::check(&docker, &engine, &config));
    findings.extend(files::check(project, &config));
    findings.extend(preflight::check_values(project, Some(&config))?);
    findings.extend(check_images(&docker, &config, &info)?);

    let postgres = config.services.get("postgres");
    let volume = config
        .volumes
        .get("postgres_data")
        .map(|volume| volume.name.as_str());
    let volume = volume.filter(|volume| engine.volumes.iter().any(|it| it.name == *volume));
    let probe = postgres.and_then(|postgres| probe(&docker, &postgres.image, volume));
    findings.extend(judge::check_resources(&info, &config, probe.as_ref()));
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
    let is_snap = process::find_on_path("docker").is_some_and(|path| path.starts_with("/snap"));
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
    let Some(text) = system::files::read_text(&path)? else {
        return Ok(vec![Finding::warning(
            ".env",
            format!("there is no {name} yet"),
            "`cargo xtask setup` makes it",
        )]);
    };
    let mut findings = Vec::new();
    if system::files::is_private(&path)? {
        findings.push(Finding::good(".env", "readable for you alone"));
    } else {
        findings.push(Finding::warning(
            ".env",
            "readable for others",
            format!("`chmod 600 {name}`"),
        ));
    }
    match git_state(project.root(), &path) {
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
    let template = file::read_template(project)?;
    let lacks = |want: &&Variable| {
        assignments
            .iter()
            .all(|assignment| assignment.key != want.key)
    };
    let missing: Vec<&str> = template
        .variables()
        .iter()
        .filter(|want| !want.is_optional)
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
        let read = dotenvy::from_read_iter(assignment.written(&text).as_bytes()).next();
        let is_same =
            read.is_some_and(|read| read.is_ok_and(|(_, value)| value == assignment.value));
        if !is_same && !assignment.has_references {
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
    match hosts::check::check(project, None, Duration::from_secs(1)) {
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
    let settings = Settings::read(project)?;
    let (postgres, umami, glitchtip) = (settings.postgres, settings.umami, settings.glitchtip);
    let login =
        |role: &str, database: String, password: &Setting<Secret>| -> anyhow::Result<Login> {
            Ok(Login {
                role: role.to_owned(),
                database,
                password: password.get()?.expose().to_owned(),
            })
        };
    let logins = [
        login(
            &postgres.superuser,
            postgres.default_database,
            &postgres.password,
        )?,
        login("umami", umami.database, &umami.database_password)?,
        login(
            "glitchtip",
            glitchtip.database,
            &glitchtip.database_password,
        )?,
    ];
    let running = logins
        .iter()
        .map(|login| start_login(docker, login, container));
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

/// Looks with the tools of `image` at what a volume holds and at the disk that it is on. Starts a
/// container that sees nothing else, and removes it; `None` if that does not work.
fn probe(docker: &Docker, image: &str, volume: Option<&str>) -> Option<Probe> {
    let mount = volume.map(|volume| format!("{volume}:/probe:ro"));
    let mount = mount.iter().flat_map(|mount| ["--volume", mount]);
    let run = [
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "none",
        "--entrypoint",
        "sh",
    ];
    let run = docker
        .docker()
        .args(run)
        .args(mount)
        .args([image, "-c", judge::PROBE]);
    Some(Probe::parse(&run.text().ok()?))
}

/// Whether a role can log in with a password, over TCP and the stack's network as the applications do.
fn start_login<'a>(
    docker: &'a Docker,
    login: &Login,
    container: &str,
) -> anyhow::Result<Running<'a>> {
    // From 127.0.0.1 the image trusts everybody.
    let options = ["--no-psqlrc", "--host", "postgres", "--command", "SELECT"];
    let names = ["--username", &login.role, "--dbname", &login.database];
    let exec = docker
        .docker()
        .args(["exec", "--env", "PGPASSWORD", container, "psql"]);
    exec.args(options)
        .args(names)
        .env("PGPASSWORD", &login.password)
        .start()
}
