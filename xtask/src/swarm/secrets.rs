//! The secrets of production: what each file holds, and under which name the swarm keeps it. [pure]
//!
//! Must never let a name tell the content: a version is keyed, so that a guess cannot be tried.

use hmac_sha256::HMAC;

use super::settings::Database;
use crate::env::values::{Secret, Values};
use crate::problem::Problem;

/// A file that services get, as the swarm is to have it.
pub struct SecretFile {
    /// As in the stack file.
    pub key: &'static str,
    /// Changes with the content.
    pub version: String,
    pub content: String,
}

impl SecretFile {
    /// Its name in the swarm.
    pub fn name(&self, stack: &str) -> String {
        format!("{stack}_{}_{}", self.key, self.version)
    }

    /// The variable by which the stack file is told the version.
    pub fn variable(&self) -> String {
        format!("{}_SECRET_VERSION", self.key.to_uppercase())
    }
}

/// Every secret that stack.yml, jobs.yml and operation.yml name, and with DATABASE=ha those of ha.yml.
///
/// # Errors
/// When the env file lacks a value.
pub fn all(values: &Values) -> Result<Vec<SecretFile>, Problem> {
    let made = |key: &str| -> Result<Secret, Problem> {
        let secret = values.secret(key);
        let secret = secret.get().map_err(|problem| {
            problem.hint("run `cargo xtask production setup`, which makes one")
        })?;
        Ok(secret.clone())
    };
    let key = made("SECRETS_KEY")?;
    let mut contents = vec![
        ("databases", databases(&made)?),
        ("umami", umami(values, &made)?),
        (
            "umami_accounts",
            lines(&[("UMAMI_ADMIN_PASSWORD", &made("UMAMI_ADMIN_PASSWORD")?)]),
        ),
        ("glitchtip", glitchtip(values, &made)?),
        ("glitchtip_accounts", glitchtip_accounts(&made)?),
        ("pgbackrest", pgbackrest(values, &made)?),
    ];
    if Database::of(values)? == Database::Ha {
        contents.push(("cluster", cluster(&made)?));
    }
    let file = |(name, content): (&'static str, String)| SecretFile {
        key: name,
        version: version(key.expose(), name, &content),
        content,
    };
    Ok(contents.into_iter().map(file).collect())
}

/// Eight hexadecimal digits that change with the content and say nothing of it to whoever lacks the key.
fn version(key: &str, name: &str, content: &str) -> String {
    let code = HMAC::mac(format!("{name}\0{content}"), key);
    code[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

type Made<'a> = dyn Fn(&str) -> Result<Secret, Problem> + 'a;

fn databases(made: &Made) -> Result<String, Problem> {
    let keys = ["UMAMI_DATABASE_PASSWORD", "GLITCHTIP_DATABASE_PASSWORD"];
    let [umami, glitchtip] = keys;
    Ok(lines(&[
        (umami, &made(umami)?),
        (glitchtip, &made(glitchtip)?),
    ]))
}

fn umami(values: &Values, made: &Made) -> Result<String, Problem> {
    let login = values.text("UMAMI_LOGIN");
    let password = made("UMAMI_DATABASE_PASSWORD")?;
    let url = database_url(&login, password.expose(), "umami_db");
    let secret = made("UMAMI_APP_SECRET")?;
    Ok(env_line("DATABASE_URL", &url) + &env_line("APP_SECRET", secret.expose()))
}

fn glitchtip(values: &Values, made: &Made) -> Result<String, Problem> {
    let login = values.text("GLITCHTIP_LOGIN");
    let password = made("GLITCHTIP_DATABASE_PASSWORD")?;
    let url = database_url(&login, password.expose(), "glitchtip_db");
    let mut text = env_line("DATABASE_URL", &url);
    text += &env_line("SECRET_KEY", made("GLITCHTIP_SECRET_KEY")?.expose());
    text += &env_line("EMAIL_URL", &values.text("GLITCHTIP_EMAIL_URL"));
    if !values.text("UPLOADS_S3_BUCKET").is_empty() {
        let endpoint = format!("https://{}", values.text("UPLOADS_S3_ENDPOINT"));
        text += &env_line("AWS_S3_ENDPOINT_URL", &endpoint);
        text += &env_line("AWS_STORAGE_BUCKET_NAME", &values.text("UPLOADS_S3_BUCKET"));
        text += &env_line("AWS_ACCESS_KEY_ID", &values.text("UPLOADS_S3_KEY"));
        text += &env_line(
            "AWS_SECRET_ACCESS_KEY",
            &values.text("UPLOADS_S3_KEY_SECRET"),
        );
    }
    Ok(text)
}

fn glitchtip_accounts(made: &Made) -> Result<String, Problem> {
    let keys = ["GLITCHTIP_ADMIN_PASSWORD", "GLITCHTIP_API_TOKEN"];
    let [password, token] = keys;
    Ok(lines(&[
        (password, &made(password)?),
        (token, &made(token)?),
    ]))
}

fn pgbackrest(values: &Values, made: &Made) -> Result<String, Problem> {
    let key = values.text("BACKUP_S3_KEY");
    let secret = values.text("BACKUP_S3_KEY_SECRET");
    let cipher = made("BACKUP_CIPHER_PASSWORD")?;
    let cipher = cipher.expose();
    Ok(format!(
        "[global]\nrepo1-s3-key={key}\nrepo1-s3-key-secret={secret}\nrepo1-cipher-pass={cipher}\n"
    ))
}

fn cluster(made: &Made) -> Result<String, Problem> {
    let keys = [
        "REPLICATION_PASSWORD",
        "REWIND_PASSWORD",
        "PATRONI_PASSWORD",
    ];
    let [replication, rewind, patroni] = keys;
    Ok(lines(&[
        (replication, &made(replication)?),
        (rewind, &made(rewind)?),
        (patroni, &made(patroni)?),
    ]))
}

fn database_url(login: &str, password: &str, database: &str) -> String {
    format!("postgresql://{login}:{password}@postgres:5432/{database}")
}

fn lines(pairs: &[(&str, &Secret)]) -> String {
    pairs
        .iter()
        .map(|(name, secret)| env_line(name, secret.expose()))
        .collect()
}

/// `NAME=value` as both a shell and Node read it.
fn env_line(name: &str, value: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:@%+-".contains(&b);
    if value.bytes().all(is_plain) {
        return format!("{name}={value}\n");
    }
    // A quote within is closed, quoted by itself, and opened again.
    format!("{name}='{}'\n", value.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::template::Template;

    const TEMPLATE: &str = "\
SECRETS_KEY=change_this_64_char_random_string
UMAMI_DATABASE_PASSWORD=change_this_strong_password
UMAMI_APP_SECRET=change_this_strong_password
UMAMI_ADMIN_PASSWORD=change_this_strong_password
GLITCHTIP_DATABASE_PASSWORD=change_this_strong_password
GLITCHTIP_SECRET_KEY=change_this_strong_password
GLITCHTIP_EMAIL_URL=
GLITCHTIP_ADMIN_PASSWORD=change_this_strong_password
GLITCHTIP_API_TOKEN=change_this_strong_password
BACKUP_S3_KEY=
BACKUP_S3_KEY_SECRET=
BACKUP_CIPHER_PASSWORD=change_this_strong_password
REPLICATION_PASSWORD=change_this_strong_password
REWIND_PASSWORD=change_this_strong_password
PATRONI_PASSWORD=change_this_strong_password
# DATABASE=single
# UMAMI_LOGIN=umami_a
# GLITCHTIP_LOGIN=glitchtip_a
# UPLOADS_S3_BUCKET=
";

    const ENV: &str = "\
SECRETS_KEY=k
UMAMI_DATABASE_PASSWORD=ud
UMAMI_APP_SECRET=ua
UMAMI_ADMIN_PASSWORD=up
GLITCHTIP_DATABASE_PASSWORD=gd
GLITCHTIP_SECRET_KEY=gs
GLITCHTIP_EMAIL_URL='smtp://a:b&c@d'
GLITCHTIP_ADMIN_PASSWORD=gp
GLITCHTIP_API_TOKEN=gt
BACKUP_S3_KEY=bk
BACKUP_S3_KEY_SECRET=bs
BACKUP_CIPHER_PASSWORD=bc
";

    fn files(env: &str) -> Vec<SecretFile> {
        let template = Template::parse(TEMPLATE).unwrap();
        all(&Values::of(template, env, ".env", &|_| None).unwrap()).unwrap()
    }

    fn file(env: &str, key: &str) -> SecretFile {
        files(env).into_iter().find(|it| it.key == key).unwrap()
    }

    #[test]
    fn each_file_has_what_its_reader_needs_and_no_more() {
        #[track_caller]
        fn check(key: &str, content: &str) {
            assert_eq!(file(ENV, key).content, content);
        }
        check(
            "databases",
            "UMAMI_DATABASE_PASSWORD=ud\nGLITCHTIP_DATABASE_PASSWORD=gd\n",
        );
        check(
            "umami",
            "DATABASE_URL=postgresql://umami_a:ud@postgres:5432/umami_db\nAPP_SECRET=ua\n",
        );
        check("umami_accounts", "UMAMI_ADMIN_PASSWORD=up\n");
        check(
            "glitchtip",
            "DATABASE_URL=postgresql://glitchtip_a:gd@postgres:5432/glitchtip_db\nSECRET_KEY=gs\n\
             EMAIL_URL='smtp://a:b&c@d'\n",
        );
        check(
            "glitchtip_accounts",
            "GLITCHTIP_ADMIN_PASSWORD=gp\nGLITCHTIP_API_TOKEN=gt\n",
        );
        check(
            "pgbackrest",
            "[global]\nrepo1-s3-key=bk\nrepo1-s3-key-secret=bs\nrepo1-cipher-pass=bc\n",
        );
    }

    #[test]
    fn members_of_the_database_have_a_secret_where_there_are_three() {
        assert!(!files(ENV).iter().any(|it| it.key == "cluster"));
        let passwords = "REPLICATION_PASSWORD=r\nREWIND_PASSWORD=w\nPATRONI_PASSWORD=p\n";
        let env = format!("{ENV}DATABASE=ha\n{passwords}");
        assert_eq!(file(&env, "cluster").content, passwords);
    }

    #[test]
    fn a_version_changes_with_content_and_key_alone() {
        let version = |env: &str| file(env, "umami").version;
        assert_eq!(version(ENV).len(), 8);
        assert_eq!(version(ENV), version(&ENV.replace("=gd", "=other")));
        assert_ne!(version(ENV), version(&ENV.replace("=ud", "=other")));
        assert_ne!(
            version(ENV),
            version(&ENV.replace("SECRETS_KEY=k", "SECRETS_KEY=l"))
        );
        assert_eq!(file(ENV, "umami").variable(), "UMAMI_SECRET_VERSION");
    }

    #[test]
    fn a_secret_that_is_missing_is_named_with_the_command_that_makes_it() {
        let template = Template::parse(TEMPLATE).unwrap();
        let values = Values::of(template, "SECRETS_KEY=k\n", ".env", &|_| None).unwrap();
        let problem = all(&values).err().unwrap();
        assert!(
            problem.what.contains("UMAMI_DATABASE_PASSWORD"),
            "{}",
            problem.what
        );
        assert!(
            problem
                .hint
                .unwrap()
                .contains("`cargo xtask production setup`")
        );
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(env_line("A", "it's $1"), "A='it'\\''s $1'\n");
    }
}
