//! What the rig promises: nodes that die, are cut off and hang as machines do, and come back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::checkout::Run;
use crate::rig::{Rig, until};

const IMAGE: &str = "analytics-standin/redis:7";
/// On every node, on a port of the node itself and in an overlay network.
const STACK: &str = r#"
services:
  redis:
    image: REGISTRY/analytics-standin/redis:7
    command: [redis-server, --protected-mode, "no"]
    networks: [data]
    ports: [{target: 6379, published: 6379, mode: host}]
    deploy: {mode: global, endpoint_mode: dnsrr}
networks: {data: {driver: overlay}}
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

    rig.run(&["kill", "n3"]);
    assert!(!answers(&rig, "n3"), "a node without power answers");
    let down = until("n3 is found dead", || state(&rig, "n3") == "down");
    assert!(down < Duration::from_secs(15), "found dead after {down:?}");
    rig.run(&["reboot", "n3"]);
    until("the service on n3 after a power cut", || {
        answers(&rig, "n3")
    });
    rig.run(&["reboot", "n3"]);
    until("the service on n3 after a reboot", || answers(&rig, "n3"));

    rig.run(&["cut", "n2"]);
    assert!(!answers(&rig, "n2"), "a node that is cut off answers");
    assert!(
        rig.docker("n2", &["ps"]).code == Some(0),
        "its engine runs on"
    );
    until("n2 is found gone", || state(&rig, "n2") == "down");
    rig.run(&["join", "n2"]);
    until("the service on n2", || {
        answers(&rig, "n2") && state(&rig, "n2") == "ready"
    });

    rig.run(&["hang", "n2"]);
    assert!(!answers(&rig, "n2"), "a node that hangs answers");
    rig.run(&["resume", "n2"]);
    until("the service on n2", || answers(&rig, "n2"));
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
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yml");
    let text = STACK.replace("REGISTRY", &rig.variable("RIG_REGISTRY"));
    std::fs::write(&file, text).unwrap();
    let deploy = [
        "stack",
        "deploy",
        "--detach",
        "--compose-file",
        file.to_str().unwrap(),
        "test",
    ];
    rig.docker("n1", &deploy).success();
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
