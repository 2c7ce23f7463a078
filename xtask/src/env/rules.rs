//! What the values of the env file must look like: what Compose, the engine or an application would refuse,
//! or take without a word and then fail at.
//!
//! Must never quote a value: most of them are secrets.

mod table;

use super::dialect::{Assignment, Reading};
use super::grammar::{Address, Port, parse_port};
use super::template::{Template, is_placeholder};
use crate::problem::Problem;
use Severity::{Refused, Stops, Warning};
use table::{DATABASES, RULES};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing; the stack starts.
    Warning,
    /// The stack would not start, or not do what it is for.
    Stops,
    /// Compose refuses it, with all else that the files say.
    Refused,
}

/// A value that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    pub severity: Severity,
    /// Begins with the line; the caller says of which file.
    pub problem: Problem,
}

/// What of an env file will break. `glitchtip_port` is the port of this machine that GlitchTip is published
/// on, where an override says another than the env file.
pub fn check(env: &Reading, template: &Template, glitchtip_port: Option<u16>) -> Vec<Violation> {
    let mut violations: Vec<Violation> = env.bare.iter().map(|&line| bare_name(line)).collect();
    let is_effective = |it: &&Assignment| {
        env.assignment(&it.key)
            .is_some_and(|last| std::ptr::eq(last, *it))
    };
    for assignment in env.assignments.iter().filter(is_effective) {
        violations.extend(check_form(assignment, template));
        violations.extend(check_value(assignment));
    }

    let relations = Relations { env, template };
    violations.extend(relations.equal_ports());
    violations.extend(relations.equal_databases());
    violations.extend(relations.default_database());
    violations.extend(relations.server_without_host());
    violations.extend(relations.domain_port(glitchtip_port));
    violations
}

/// What is wrong with the names of the applications' databases: with some of them a restore would delete
/// what it must not.
pub fn check_databases(env: &Reading) -> Vec<Violation> {
    let assignments = DATABASES.iter().filter_map(|key| env.assignment(key));
    assignments.flat_map(check_value).collect()
}

fn check_value(assignment: &Assignment) -> Vec<Violation> {
    let value = assignment.value.as_str();
    if value.is_empty() || is_placeholder(value) {
        return Vec::new();
    }
    let key = assignment.key.as_str();
    let broken = RULES
        .iter()
        .filter(|rule| rule.keys.contains(&key) && (rule.is_broken)(value));
    broken
        .map(|rule| violation(rule.severity, assignment, rule.what, rule.hint))
        .collect()
}

fn violation(
    severity: Severity,
    assignment: &Assignment,
    what: &str,
    hint: impl Into<String>,
) -> Violation {
    let what = format!("line {}: {} {what}", assignment.line, assignment.key);
    Violation {
        severity,
        problem: Problem::new(what).hint(hint),
    }
}

fn bare_name(line: usize) -> Violation {
    let what = format!("line {line}: a name stands there without a value, which sets nothing");
    Violation {
        severity: Warning,
        problem: Problem::new(what)
            .hint("remove it; if it is the end of a value, put the whole value in single quotes"),
    }
}

/// What is wrong with how a value is written, whatever its variable.
fn check_form(assignment: &Assignment, template: &Template) -> Option<Violation> {
    let variable = template.variable(&assignment.key);
    let is_required = variable.is_some_and(|variable| variable.placeholder().is_some());
    if assignment.has_references && assignment.value.is_empty() && is_required {
        let what = "is empty, because it refers to variables that have no value";
        return Some(violation(
            Refused,
            assignment,
            what,
            "put the value in single quotes",
        ));
    }
    if assignment.has_references && variable.is_some() {
        let what = "has a $, which Compose takes for a reference to another variable";
        return Some(violation(
            Warning,
            assignment,
            what,
            "put the value in single quotes",
        ));
    }
    if variable.is_some() && is_placeholder(&assignment.value) {
        let hint = if is_required {
            "run `cargo xtask setup`, which makes a value"
        } else {
            "replace it by a value of your own"
        };
        return Some(violation(
            Warning,
            assignment,
            "is still a placeholder",
            hint,
        ));
    }
    if is_for_docker(&assignment.key) {
        let what =
            "changes how Docker itself works, and can make it use other files than this stack's";
        let hint = "remove the line; settings of Docker belong in your shell";
        return Some(violation(Warning, assignment, what, hint));
    }
    None
}

/// Whether a variable steers Compose or the docker CLI; an env file can set it by mistake.
pub fn is_for_docker(key: &str) -> bool {
    (key.starts_with("COMPOSE_") && key != "COMPOSE_PROJECT_NAME") || key.starts_with("DOCKER_")
}

/// Rules that look at more than one variable, as Compose takes them.
struct Relations<'a> {
    env: &'a Reading,
    template: &'a Template,
}

impl Relations<'_> {
    /// What Compose takes: the default stands for an empty value, too.
    fn value(&self, key: &str) -> &str {
        let value = self.env.values.get(key).filter(|value| !value.is_empty());
        let default = || self.template.variable(key).map(|it| it.default.as_str());
        value
            .map(String::as_str)
            .or_else(default)
            .unwrap_or_default()
    }

    fn equal(&self, keys: [&str; 2], what: &str, hint: &str) -> Option<Violation> {
        let [first, second] = keys.map(|key| self.value(key));
        if first.is_empty() || first != second {
            return None;
        }
        let assignment = keys.iter().rev().find_map(|key| self.env.assignment(key))?;
        Some(violation(Stops, assignment, what, hint))
    }

    fn equal_ports(&self) -> Option<Violation> {
        self.equal(
            ["UMAMI_PORT", "GLITCHTIP_PORT"],
            "is the port of both Umami and GlitchTip",
            "give UMAMI_PORT and GLITCHTIP_PORT different ports; they are 3001 and 3002 by default",
        )
    }

    fn equal_databases(&self) -> Option<Violation> {
        self.equal(
            ["UMAMI_DATABASE", "GLITCHTIP_DATABASE"],
            "is the database of both Umami and GlitchTip",
            "give UMAMI_DATABASE and GLITCHTIP_DATABASE different names",
        )
    }

    /// Whether the database by which a server of somebody else's is entered is one that a restore must rename.
    fn default_database(&self) -> Option<Violation> {
        if self.value("POSTGRES_HOST").is_empty() {
            return None;
        }
        let applications = ["UMAMI_DATABASE", "GLITCHTIP_DATABASE"].map(|key| self.value(key));
        if !applications.contains(&self.value("POSTGRES_DB")) {
            return None;
        }
        let assignment = self.env.assignment("POSTGRES_DB")?;
        let what = "is an application's database too, which a restore has to replace";
        let hint = "set it to another database that the role may connect to, such as postgres";
        Some(violation(Stops, assignment, what, hint))
    }

    /// Settings of a server that is somebody else's, where none is named.
    fn server_without_host(&self) -> Option<Violation> {
        if !self.value("POSTGRES_HOST").is_empty() {
            return None;
        }
        let keys = [("POSTGRES_PORT", "5432"), ("POSTGRES_SSLMODE", "disable")];
        let (key, _) = keys
            .into_iter()
            .find(|(key, own)| self.value(key) != *own)?;
        let what = "is set without POSTGRES_HOST, and the stack's own PostgreSQL has it otherwise";
        let hint = "set POSTGRES_HOST too, or remove the line";
        Some(violation(Stops, self.env.assignment(key)?, what, hint))
    }

    /// Whether GLITCHTIP_DOMAIN leads to the port that GlitchTip is published on. With https something
    /// else stands in front, whose port is not ours to know.
    fn domain_port(&self, published: Option<u16>) -> Option<Violation> {
        let published = published.or_else(|| parse_port(self.value("GLITCHTIP_PORT")))?;
        let address = Address::of(self.value("GLITCHTIP_DOMAIN")).filter(|it| !it.is_encrypted)?;
        let named = match address.port {
            Port::Number(port) => port,
            Port::None => 80,
            Port::Invalid => return None,
        };
        if named == published {
            return None;
        }
        let (assignment, what) = match self.env.assignment("GLITCHTIP_DOMAIN") {
            Some(domain) if !domain.value.is_empty() => (
                domain,
                format!("leads to port {named}, and GlitchTip is published on {published}"),
            ),
            _ => (
                self.env.assignment("GLITCHTIP_PORT")?,
                format!("is {published}, and GLITCHTIP_DOMAIN leads to port {named} by default"),
            ),
        };
        let host = address.host;
        let hint = format!(
            "set GLITCHTIP_DOMAIN=http://{host}:{published}, unless a proxy on port {named} leads to it"
        );
        Some(violation(Warning, assignment, &what, hint))
    }
}

#[cfg(test)]
mod tests;
