//! What the env file of production sets. [pure]

use crate::env::values::Values;
use crate::problem::Problem;

/// What only its owner knows, with the question that `setup` asks.
pub struct Question {
    pub key: &'static str,
    pub question: &'static str,
    /// A value that looks right.
    pub example: &'static str,
}

const fn ask(key: &'static str, question: &'static str, example: &'static str) -> Question {
    Question {
        key,
        question,
        example,
    }
}

/// In the order in which they are asked.
pub const QUESTIONS: [Question; 12] = [
    ask(
        "UMAMI_HOSTNAME",
        "Public name of Umami",
        "analytics.example.com",
    ),
    ask(
        "GLITCHTIP_HOSTNAME",
        "Public name of GlitchTip",
        "errors.example.com",
    ),
    ask(
        "ADMIN_EMAIL",
        "E-mail address of the administrator",
        "admin@example.com",
    ),
    ask("SITE_NAME", "Name of the website in Umami", "example.com"),
    ask("SITE_DOMAIN", "Domain of the website", "example.com"),
    ask(
        "GLITCHTIP_ORGANIZATION",
        "Organization in GlitchTip",
        "example.com",
    ),
    ask(
        "GLITCHTIP_FROM_EMAIL",
        "Sender of GlitchTip's mail",
        "errors@example.com",
    ),
    ask(
        "GLITCHTIP_EMAIL_URL",
        "Mail server",
        "smtp+tls://user%40example.com:password@smtp.example.com:587",
    ),
    ask(
        "BACKUP_S3_ENDPOINT",
        "Host of the bucket's server",
        "s3.eu-central-1.example.com",
    ),
    ask(
        "BACKUP_S3_BUCKET",
        "Name of the bucket for backups",
        "analytics-backups",
    ),
    ask("BACKUP_S3_KEY", "Access key of the bucket", "AKIAEXAMPLE"),
    ask(
        "BACKUP_S3_KEY_SECRET",
        "Secret access key of the bucket",
        "wJalrEXAMPLEKEY",
    ),
];

/// The questions that the env file does not answer yet.
pub fn unanswered(values: &Values) -> Vec<&'static Question> {
    let is_open = |question: &&Question| values.text(question.key).trim().is_empty();
    QUESTIONS.iter().filter(is_open).collect()
}

/// # Errors
/// When the env file lacks a value that the stack cannot do without.
pub fn check_complete(values: &Values) -> Result<(), Problem> {
    let open = unanswered(values);
    let Some(first) = open.first() else {
        return Ok(());
    };
    let keys: Vec<&str> = open.iter().map(|question| question.key).collect();
    let what = format!("{} has no value for {}", values.name(), keys.join(", "));
    Err(Problem::new(what).hint(format!(
        "run `cargo xtask production setup` on a terminal, which asks for them, or write them into the file, as in {}={}",
        first.key, first.example
    )))
}

/// Where the databases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// On one node.
    Single,
    /// On three nodes, of which any one may die.
    Ha,
}

impl Database {
    /// # Errors
    /// When DATABASE is neither.
    pub fn of(values: &Values) -> Result<Database, Problem> {
        match values.text("DATABASE").as_str() {
            "single" => Ok(Database::Single),
            "ha" => Ok(Database::Ha),
            other => Err(Problem::new(format!("DATABASE={other} is not known"))
                .hint("set it to single or ha in deploy/production/.env")),
        }
    }
}

/// How the edge speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// With certificates that everyone trusts.
    Public,
    /// With certificates of an authority that only some trust.
    Private,
    /// A proxy in front of it does.
    Off,
}

/// How the edge is reached.
#[derive(Debug)]
pub struct Edge {
    pub umami: String,
    pub glitchtip: String,
    pub tls: Tls,
    pub port: String,
}

impl Edge {
    pub fn of(values: &Values) -> Edge {
        // Its authority for trials is another host, and nobody trusts that one.
        let is_lets_encrypt = values
            .text("ACME_DIRECTORY")
            .contains("//acme-v02.api.letsencrypt.org/");
        let tls = match values.text("TLS").as_str() {
            "off" => Tls::Off,
            "internal" => Tls::Private,
            _ if is_lets_encrypt => Tls::Public,
            _ => Tls::Private,
        };
        let port = match tls {
            Tls::Off => "HTTP_PORT",
            Tls::Public | Tls::Private => "HTTPS_PORT",
        };
        Edge {
            umami: values.text("UMAMI_HOSTNAME"),
            glitchtip: values.text("GLITCHTIP_HOSTNAME"),
            tls,
            port: values.text(port),
        }
    }

    /// The address of an application for browsers.
    pub fn url(&self, hostname: &str) -> String {
        match (self.tls, self.port.as_str()) {
            (Tls::Off, "80") => format!("http://{hostname}"),
            (Tls::Off, port) => format!("http://{hostname}:{port}"),
            (_, "443") => format!("https://{hostname}"),
            (_, port) => format!("https://{hostname}:{port}"),
        }
    }
}

/// A record for each public name and address.
pub fn render_records(edge: &Edge, addresses: &[String]) -> String {
    let mut text = String::new();
    for name in [&edge.umami, &edge.glitchtip] {
        for address in addresses {
            let is_name = |c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit();
            let kind = match address.as_str() {
                address if address.contains(':') => "AAAA",
                address if address.contains(is_name) && address.contains('.') => "CNAME",
                _ => "A",
            };
            text.push_str(&format!("{name}. 300 IN {kind} {address}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::template::Template;

    fn values(env: &str) -> Values {
        let template = "UMAMI_HOSTNAME=\nGLITCHTIP_HOSTNAME=\nADMIN_EMAIL=\n# TLS=acme\n# HTTP_PORT=80\n\
                        # HTTPS_PORT=443\n# ACME_DIRECTORY=https://acme-v02.api.letsencrypt.org/directory\n";
        Values::of(Template::parse(template).unwrap(), env, ".env", &|_| None).unwrap()
    }

    const NAMES: &str = "UMAMI_HOSTNAME=a.example.com\nGLITCHTIP_HOSTNAME=b.example.com\n";

    #[test]
    fn what_is_missing_is_named_at_once() {
        let problem = check_complete(&values(NAMES)).unwrap_err();
        assert!(
            problem
                .what
                .starts_with(".env has no value for ADMIN_EMAIL, SITE_NAME")
        );
        assert!(
            problem
                .hint
                .unwrap()
                .contains("ADMIN_EMAIL=admin@example.com")
        );
    }

    #[test]
    fn the_edge_is_where_tls_and_ports_say() {
        #[track_caller]
        fn check(more: &str, tls: Tls, url: &str) {
            let edge = Edge::of(&values(&format!("{NAMES}{more}")));
            assert_eq!((edge.tls, &*edge.url(&edge.umami)), (tls, url));
        }
        check("", Tls::Public, "https://a.example.com");
        check(
            "TLS=internal\nHTTPS_PORT=8443\n",
            Tls::Private,
            "https://a.example.com:8443",
        );
        check(
            "TLS=off\nHTTP_PORT=8080\n",
            Tls::Off,
            "http://a.example.com:8080",
        );
        check(
            "ACME_DIRECTORY=https://acme-staging-v02.api.letsencrypt.org/directory\n",
            Tls::Private,
            "https://a.example.com",
        );
        check(
            "ACME_DIRECTORY=https://ca.example.com\n",
            Tls::Private,
            "https://a.example.com",
        );
    }

    #[test]
    fn each_name_has_a_record_for_each_address() {
        let records = render_records(&Edge::of(&values(NAMES)), &["192.0.2.7".to_owned()]);
        assert_eq!(
            records,
            "a.example.com. 300 IN A 192.0.2.7\nb.example.com. 300 IN A 192.0.2.7\n"
        );
    }
}
