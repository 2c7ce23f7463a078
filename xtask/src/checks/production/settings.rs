//! The values of deploy/production/.env that would stop a deployment, or be regretted after it. Only looks.

use crate::checks::finding::Finding;
use crate::env::grammar::{is_email_address, is_email_url, is_hostname, is_url_safe};
use crate::env::values::Values;
use crate::problem::Problem;
use crate::swarm::settings::{Database, check_complete};

const CHECK: &str = ".env";

/// What a value must look like.
struct Rule {
    keys: &'static [&'static str],
    is_right: fn(&str) -> bool,
    what: &'static str,
    hint: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        keys: &["UMAMI_HOSTNAME", "GLITCHTIP_HOSTNAME", "SITE_DOMAIN"],
        is_right: is_hostname,
        what: "is not a host name",
        hint: "write the name alone, without scheme, port and path: analytics.example.com",
    },
    Rule {
        keys: &["ADMIN_EMAIL"],
        is_right: is_email_address,
        what: "is not an e-mail address",
        hint: "write it as name@example.com",
    },
    Rule {
        keys: &["GLITCHTIP_EMAIL_URL"],
        is_right: is_email_url,
        what: "is not a mail server's URL, and GlitchTip does not start",
        hint: "write it as smtp+tls://user%40example.com:password@smtp.example.com:587",
    },
    Rule {
        keys: &["GLITCHTIP_EMAIL_URL"],
        is_right: |value| !value.starts_with("consolemail"),
        what: "only logs the mail: nobody is told of an error, and no password can be reset",
        hint: "set it to a mail server: smtp+tls://user%40example.com:password@smtp.example.com:587",
    },
    Rule {
        keys: &["UMAMI_DATABASE_PASSWORD", "GLITCHTIP_DATABASE_PASSWORD"],
        is_right: is_url_safe,
        what: "has characters that break the database's URL",
        hint: "use letters, digits and - . _ ~ alone",
    },
    Rule {
        keys: &["BACKUP_S3_ENDPOINT", "UPLOADS_S3_ENDPOINT"],
        is_right: |value| !value.contains("://") && !value.contains('/'),
        what: "is not a host, with a port where it is not 443",
        hint: "write it without https:// and path: s3.example.com",
    },
];

pub fn check(values: &Values) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(problem) = check_complete(values) {
        findings.push(Finding::error(CHECK, problem));
    }
    if let Err(problem) = Database::of(values) {
        findings.push(Finding::error(CHECK, problem));
    }
    for rule in &RULES {
        let wrong = |key: &&&str| {
            let value = values.text(key);
            !value.is_empty() && !(rule.is_right)(&value)
        };
        let problem = |key: &&str| Problem::new(format!("{key} {}", rule.what)).hint(rule.hint);
        let broken = rule.keys.iter().filter(wrong);
        findings.extend(broken.map(|key| Finding::error(CHECK, problem(key))));
    }
    let name = values.text("UMAMI_HOSTNAME");
    if !name.is_empty() && name == values.text("GLITCHTIP_HOSTNAME") {
        let what = "UMAMI_HOSTNAME and GLITCHTIP_HOSTNAME are the same name";
        let hint = "give each application a name of its own";
        findings.push(Finding::error(CHECK, Problem::new(what).hint(hint)));
    }
    if findings.is_empty() {
        let what = format!("{} is complete", values.name());
        findings.push(Finding::good(CHECK, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::template::Template;
    use crate::swarm::settings::QUESTIONS;

    fn found(key: &str, value: &str) -> Vec<String> {
        let template: String = QUESTIONS
            .iter()
            .map(|it| format!("{}=\n", it.key))
            .collect();
        let env: String = QUESTIONS
            .iter()
            .map(|it| {
                let value = if it.key == key { value } else { it.example };
                format!("{}='{value}'\n", it.key)
            })
            .collect();
        let template = Template::parse(&(template + "# DATABASE=single\n")).unwrap();
        let values = Values::of(template, &env, ".env", &|_| None).unwrap();
        let findings = check(&values).into_iter();
        findings.map(|finding| finding.problem.what).collect()
    }

    #[test]
    fn each_example_of_setup_is_right_and_what_breaks_is_named_without_its_value() {
        assert_eq!(found("", ""), [".env is complete"]);
        #[track_caller]
        fn check(key: &str, value: &str, what: &str) {
            let found = found(key, value);
            assert!(found.iter().any(|it| it.contains(what)), "{found:?}");
            assert!(value.is_empty() || !found.iter().any(|it| it.contains(value)));
        }
        check("UMAMI_HOSTNAME", "", "has no value for UMAMI_HOSTNAME");
        check(
            "UMAMI_HOSTNAME",
            "https://x.example.com",
            "UMAMI_HOSTNAME is not a host name",
        );
        check("UMAMI_HOSTNAME", "errors.example.com", "are the same name");
        check(
            "GLITCHTIP_EMAIL_URL",
            "consolemail://",
            "only logs the mail",
        );
        check(
            "BACKUP_S3_ENDPOINT",
            "https://s3.example.com",
            "is not a host",
        );
    }
}
