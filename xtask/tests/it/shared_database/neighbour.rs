//! A made-up Directus and its PostgreSQL, in a network of their own: what a stack that uses that server must
//! leave as it is. TLS is required, at most 20 connections are taken, and the role for the stack is no superuser.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::checkout::{Checkout, Run};

pub struct Neighbour {
    /// Of the network; the server's container is called after it.
    pub name: String,
    image: String,
}

/// By this the stack knows the server.
pub const HOST: &str = "directus-db";
/// The role for the stack.
pub const ROLE: &str = "provider";
pub const PASSWORD: &str = "Pr0vider/Passw#rd";

/// Everybody must come by TLS, and the certificate is one that nobody knows.
const SERVER: &str = "\
    printf '%s\\n' 'local all all trust' 'hostssl all all all scram-sha-256' >/tmp/hba; \
    exec docker-entrypoint.sh postgres -c hba_file=/tmp/hba -c ssl=on -c max_connections=20 \
    -c ssl_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem -c ssl_key_file=/etc/ssl/private/ssl-cert-snakeoil.key \
    -c log_statement=all -c max_locks_per_transaction=256";

/// Rows, roles and grants, and a grant to everybody.
const DIRECTUS: &str = "\
    create role directus_reader; create role directus_app login password 'x' in role directus_reader; \
    create table directus_users (id serial primary key, email text unique, secret text); \
    insert into directus_users (email, secret) select 'user' || n, md5(n::text) from generate_series(1, 5000) n; \
    grant select on directus_users to directus_reader; grant select (id) on directus_users to public; \
    alter default privileges grant select on tables to directus_reader; \
    alter role directus_app set statement_timeout = '5s'";

/// Whatever is on the server and none of the stack's.
const OTHERS: &str = "\
    select 'role', r::text from pg_authid r where rolname not in ('umami', 'glitchtip'); \
    select 'member', m.roleid::regrole, m.member::regrole from pg_auth_members m \
    where m.roleid::regrole::text not in ('umami', 'glitchtip') order by 2, 3; \
    select 'database', datname, datdba::regrole, datacl, datconnlimit, datallowconn from pg_database \
    where datname not in ('umami_db', 'glitchtip_db') order by 2; \
    select 'setting', setdatabase, setrole::regrole, setconfig from pg_db_role_setting order by 2, 3; \
    select 'file', name, setting from pg_file_settings order by 2; \
    select 'comment', c::text from pg_shdescription c where objoid not in \
    (select oid from pg_authid where rolname in ('umami', 'glitchtip')) order by 2";

impl Neighbour {
    /// Starts it and waits until it answers; `major` is PostgreSQL's version.
    #[track_caller]
    pub fn start(major: &str) -> Neighbour {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let neighbour = Neighbour {
            name: format!("xtask-directus-{}-{number}", std::process::id()),
            image: format!("analytics-standin/postgres:{major}"),
        };
        let name = neighbour.name.as_str();
        docker(&["network", "create", name]);
        let run = ["run", "--detach", "--name", name, "--network", name];
        let names = ["--network-alias", HOST, "--tmpfs", "/var/lib/postgresql"];
        let set = [
            "--env",
            "POSTGRES_USER=directus",
            "--env",
            "POSTGRES_PASSWORD=d",
        ];
        let server = ["--entrypoint", "sh", &neighbour.image, "-c", SERVER];
        docker(&[&run[..], &names, &set, &server].concat());
        let ready =
            "until pg_isready --quiet --host 127.0.0.1 --username directus; do sleep 0.1; done";
        docker(&["exec", name, "timeout", "60", "sh", "-c", ready]);
        neighbour.sql("directus", DIRECTUS);
        neighbour.sql("directus", "create database umami owner directus_app");
        let role = format!("create role {ROLE} login createrole createdb password '{PASSWORD}'");
        neighbour.sql("postgres", &role);
        neighbour
    }

    /// Makes a stack use it.
    pub fn use_in(&self, checkout: &Checkout) {
        checkout.xtask(&["setup"]).success();
        let other_image = "analytics-standin/postgres:15";
        checkout.replace("docker-compose.override.yml", other_image, &self.image);
        let own = checkout.variable("POSTGRES_PASSWORD");
        checkout.replace(".env", "=analytics_admin\n", &format!("={ROLE}\n"));
        checkout.replace(".env", &own, &format!("'{PASSWORD}'"));
        let name = &self.name;
        let more =
            format!("POSTGRES_HOST={HOST}\nPOSTGRES_SSLMODE=require\nDIRECTUS_NETWORK={name}\n");
        checkout.write(".env", &(checkout.read(".env") + &more));
    }

    /// Makes a network in which it has the same name; which.
    pub fn is_in_another_network_too(&self) -> String {
        let other = format!("{}-too", self.name);
        docker(&["network", "create", &other]);
        docker(&["network", "connect", "--alias", HOST, &other, &self.name]);
        other
    }

    /// The names of the containers that are in a network.
    pub fn names_in(&self, network: &str) -> String {
        let names = "{{range .Containers}}{{.Name}} {{end}}";
        docker(&["network", "inspect", "--format", names, network])
    }

    pub fn leaves(&self, network: &str) {
        docker(&["network", "disconnect", network, &self.name]);
        docker(&["network", "rm", network]);
    }

    /// SQL as its superuser; the rows, columns parted by `|`.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let psql = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
        ];
        let options = ["--username", "directus", "--set", "ON_ERROR_STOP=1"];
        let of = ["--dbname", database, "--command", statement];
        docker(&[&["exec", &self.name][..], &psql, &options, &of].concat())
    }

    /// Its roles and databases, the stack's too.
    #[track_caller]
    pub fn everything(&self) -> String {
        let all =
            "select rolname from pg_roles union all select datname from pg_database order by 1";
        self.sql("postgres", all)
    }

    /// All that it holds but the stack's two databases and roles, as text.
    #[track_caller]
    pub fn others(&self) -> String {
        let mut text = self.sql("postgres", OTHERS);
        for database in ["directus", "umami", "postgres", "template1"] {
            let dump = ["pg_dump", "--username", "directus", "--dbname", database];
            let dump = docker(&[&["exec", &self.name][..], &dump].concat());
            // Newer ones write a random word into each dump.
            let lines = dump.lines().filter(|line| !line.contains("restrict "));
            text.extend(lines.flat_map(|line| [line, "\n"]));
        }
        text
    }

    /// What the server wrote down.
    pub fn log(&self) -> String {
        let run = Run::of(Command::new("docker").args(["logs", &self.name])).success();
        run.stdout + &run.stderr
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "--force", "--volumes", &self.name])
            .output();
        let _ = Command::new("docker")
            .args(["network", "rm", &self.name])
            .output();
    }
}

#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let run = Run::of(Command::new("docker").args(arguments)).success();
    run.stdout.trim_end().to_owned()
}
