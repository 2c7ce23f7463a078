//! What the rig promises: nodes that die, are cut off and hang as machines do, and come back; and that whatever Swarm does
//! then, no volume of PostgreSQL has two.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::checkout::Run;
use crate::rig::{Rig, until};

const IMAGE: &str = "analytics-standin/redis:7";
const DATABASE: &str = "analytics-standin/production-postgres:15";
/// On every node, on a port of the node itself and in an overlay network; and PostgreSQL where its volume is.
const STACK: &str = r#"
services:
  redis:
    image: REGISTRY/analytics-standin/redis:7
    command: [redis-server, --protected-mode, "no"]
    networks: [data]
    ports: [{target: 6379, published: 6379, mode: host}]
    deploy: {mode: global, endpoint_mode: dnsrr}
  postgres:
    image: analytics-standin/production-postgres:15
    init: true
    command: [serve.sh]
    volumes: ["postgres_data:/var/lib/postgresql/data"]
    stop_grace_period: 1m
    deploy:
      endpoint_mode: dnsrr
      restart_policy: {condition: any, delay: 2s}
      placement: {constraints: [node.hostname == n2]}
networks: {data: {driver: overlay}}
volumes: {postgres_data: {}}
"#;

#[test]
#[ignore = "needs the rig"]
fn a_node_dies_is_cut_off_and_hangs_and_comes_back() {
    let rig = Rig::up(3);
    deploy(&rig);
    let all = ["n1", "n2", "n3"];
    until("a service on every node", || {
        all.iter().all(|node| answers(&rig, node))
    });
    until("PostgreSQL on n2", || lone_database(&rig).is_some());
    let id = lone_database(&rig).unwrap();
    let servers = Servers::watch(&rig);

    rig.run(&["kill", "n3"]);
    assert!(!answers(&rig, "n3"), "a node without power answers");
    let down = until("n3 is found dead", || state(&rig, "n3") == "down");
    assert!(down < Duration::from_secs(15), "found dead after {down:?}");
    rig.run(&["reboot", "n3"]);
    until("the service on n3 after a power cut", || {
        answers(&rig, "n3")
    });
    rig.run(&["reboot", "n2"]);
    let id = until_replaced(&rig, &id);

    rig.run(&["cut", "n2"]);
    assert!(!answers(&rig, "n2"), "a node that is cut off answers");
    assert!(
        rig.docker("n2", &["ps"]).code == Some(0),
        "its engine runs on"
    );
    until("n2 is found gone", || state(&rig, "n2") == "down");
    rig.run(&["join", "n2"]);
    let id = until_replaced(&rig, &id);

    rig.run(&["hang", "n2"]);
    assert!(!answers(&rig, "n2"), "a node that hangs answers");
    until("n2 is found gone", || state(&rig, "n2") == "down");
    rig.run(&["resume", "n2"]);
    until_replaced(&rig, &id);
    assert_eq!(servers.stop(), 1, "servers at once on one volume");
}

#[test]
#[ignore = "needs the rig"]
fn the_servers_beside_the_nodes_answer_by_their_names_and_nothing_stays() {
    let rig = Rig::up(1);
    let authority = rig.variable("RIG_CA");
    let get = |url: &str| {
        let mut curl = rig.lab("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
        Run::of(curl.args(["--cacert", &authority, url]))
            .success()
            .stdout
    };
    assert!(get(&rig.variable("RIG_ACME_DIRECTORY")).contains("newOrder"));
    assert!(bucket(&rig, &authority).contains("<Name>backups</Name>"));
    for name in ["analytics.rig.test", "errors.rig.test"] {
        assert_eq!(resolve(&rig, name), rig.address("n1").to_string());
        rig.run(&["dns", name]);
        assert_eq!(resolve(&rig, name), "", "a name that was taken away");
    }

    let card = Path::new("/sys/class/net").join(rig.card());
    assert!(card.exists());
    let folder = Path::new(&authority).parent().unwrap().to_owned();
    drop(rig);
    assert!(!card.exists() && !folder.exists());
}

#[track_caller]
fn deploy(rig: &Rig) {
    rig.run(&["push", IMAGE]);
    let load = format!("docker save {DATABASE} | docker --host \"$0\" load");
    Run::of(Command::new("sh").args(["-c", &load, &rig.engine_url("n2")])).success();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yml");
    let text = STACK.replace("REGISTRY", &rig.variable("RIG_REGISTRY"));
    std::fs::write(&file, text).unwrap();
    let deploy = [
        "stack",
        "deploy",
        "--detach",
        "--resolve-image",
        "never",
        "--compose-file",
        file.to_str().unwrap(),
        "analytics",
    ];
    rig.docker("n1", &deploy).success();
}

/// The container of PostgreSQL on n2, once it answers and no other task of it is about to begin or to end.
fn lone_database(rig: &Rig) -> Option<String> {
    let engine = rig.engine("n2");
    let list = ["ps", "--quiet", "--filter", "name=^analytics_postgres"];
    let containers = engine.docker(&list)?;
    engine.ask("postgres", "select 1")?;
    let mut ids = containers.lines();
    let id = ids.next()?;
    ids.next().is_none().then(|| id.to_owned())
}

/// Waits until n2 is as it was, with another task of PostgreSQL in the place of the one that Swarm had given up.
#[track_caller]
fn until_replaced(rig: &Rig, before: &str) -> String {
    let mut id = String::new();
    until("the services on n2", || {
        id = lone_database(rig).unwrap_or_default();
        !id.is_empty() && id != before && answers(rig, "n2") && state(rig, "n2") == "ready"
    });
    id
}

/// Counts the PostgreSQL servers on n2, whatever their containers are, for as long as it lives.
struct Servers {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Servers {
    fn watch(rig: &Rig) -> Servers {
        let group = rig.group("n2");
        let stop = Arc::new(AtomicBool::new(false));
        let most = Arc::new(AtomicUsize::new(0));
        let (until, seen) = (Arc::clone(&stop), Arc::clone(&most));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::SeqCst) {
                seen.fetch_max(count_servers(&group), Ordering::SeqCst);
                thread::sleep(Duration::from_millis(100));
            }
        });
        Servers { stop, most, thread }
    }

    /// How many there were at most.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.most.load(Ordering::SeqCst)
    }
}

/// Their first processes: of the others each is the child of one, and bears its command until it says what it does.
fn count_servers(group: &str) -> usize {
    let read = |process: &Path, file: &str| {
        let bytes = std::fs::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let is_server =
        |process: &Path| read(process, "cmdline").starts_with("postgres\0--config-file=");
    let is_first = |process: &Path| {
        let stat = read(process, "stat");
        let parent = stat.rsplit(") ").next().and_then(|it| it.split(' ').nth(1));
        parent.is_some_and(|it| !is_server(&Path::new("/proc").join(it)))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let paths = processes.map(|it| it.path());
    let own = paths.filter(|it| is_server(it) && read(it, "cgroup").contains(group));
    own.filter(|it| is_first(it)).count()
}

/// Whether the service on a node says PONG.
fn answers(rig: &Rig, node: &str) -> bool {
    let address = SocketAddr::new(rig.address(node), 6379);
    let longest = Duration::from_millis(500);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, longest) else {
        return false;
    };
    stream.set_read_timeout(Some(longest)).unwrap();
    let mut answer = [0; 5];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG"
}

/// What the first node thinks of another.
fn state(rig: &Rig, node: &str) -> String {
    let inspect = ["node", "inspect", "--format", "{{.Status.State}}", node];
    rig.docker("n1", &inspect).stdout.trim().to_owned()
}

/// The buckets, asked for with the key that has the right to see them.
fn bucket(rig: &Rig, authority: &str) -> String {
    let mut curl = rig.lab("curl");
    let key = format!(
        "{}:{}",
        rig.variable("RIG_S3_KEY"),
        rig.variable("RIG_S3_SECRET")
    );
    curl.args([
        "--silent",
        "--fail",
        "--noproxy",
        "*",
        "--cacert",
        authority,
    ]);
    curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &key]);
    let url = format!("https://{}/", rig.variable("RIG_S3_ENDPOINT"));
    Run::of(curl.arg(url)).success().stdout
}

/// The one address of a name, as a node sees it; nothing, where it has none.
fn resolve(rig: &Rig, name: &str) -> String {
    let shell = "getent ahostsv4 \"$0\" | awk 'NR == 1 {print $1}'";
    let resolved = rig.run(&["shell", "n1", "sh", "-c", shell, name]).stdout;
    resolved.trim().to_owned()
}
