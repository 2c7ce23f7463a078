//! Public addresses: `connect` prints them, `verify --public` proves them, through DNS, TLS and a proxy.

use std::process::Command;

use serde_json::Value;

use crate::checkout::{Checkout, Run};
use crate::events::{SECRETS, assert_fails, set};
use crate::stranger::Stranger;

/// Ends TLS and passes everything on: 443 to Umami, 8443 to GlitchTip.
const PROXY: &str = r#"
import os, socket, ssl, tempfile, threading

with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
    file.write(os.environ["PEM"])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(file.name)

def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        end.close()

def handle(client, target):
    try:
        client = context.wrap_socket(client, server_side=True)
        server = socket.create_connection(target, 5)
    except OSError:
        return client.close()
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)

def serve(port, target):
    listener = socket.create_server(("", port))
    print("listening", flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=handle, args=(client, target), daemon=True).start()

threading.Thread(target=serve, args=(443, ("umami", 3000)), daemon=True).start()
serve(8443, ("glitchtip-web", 8000))
"#;

const UMAMI_URL: &str = "https://analytics.example.com";
const GLITCHTIP_URL: &str = "https://errors.example.com:8443";

#[test]
#[ignore = "starts containers"]
fn public_names_are_proven_through_dns_tls_and_proxy() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    set(&checkout, "UMAMI_URL", UMAMI_URL);
    set(&checkout, "GLITCHTIP_DOMAIN", GLITCHTIP_URL);
    checkout.replace(
        "docker-compose.override.yml",
        "  umami:\n",
        "  umami:\n    environment: {CURL_CA_BUNDLE: /tmp/ca.pem}\n",
    );
    checkout.xtask(&["up"]).success();
    verify_names(&checkout, "Could not resolve host: analytics.example.com");

    let (key, certificate) = make_certificate(&checkout);
    trust(&checkout, &make_certificate(&checkout).1);
    let _proxy = Proxy::start(&checkout, &format!("{key}{certificate}"));
    verify_names(&checkout, "SSL certificate problem");
    let connect = checkout.xtask(&["connect", "--format", "env"]).success();
    let connect = connect.says("https://analytics.example.com was tried and does not lead");
    assert!(connect.stdout.contains(UMAMI_URL), "{}", connect.stdout);

    trust(&checkout, &certificate);
    let verify = checkout.xtask(&["verify", "--public"]).success().stdout;
    let proven = verify.matches("is reached at its public address").count();
    assert_eq!(proven, 2, "{verify}");
    let connect = checkout.xtask(&["connect", "--format", "json"]).success();
    assert_eq!(connect.stderr, "");
    let connect: Value = serde_json::from_str(&connect.stdout).unwrap();
    assert_eq!(connect["umami"]["url"], UMAMI_URL);
    assert_eq!(connect["glitchtip"]["url"], GLITCHTIP_URL);
}

/// Asserts why neither public address is reached, while the stack itself works.
#[track_caller]
fn verify_names(checkout: &Checkout, why: &str) {
    checkout.xtask(&["verify"]).success();
    let verify = checkout.xtask(&["verify", "--public"]).code(1);
    let lines: Vec<&str> = verify.stdout.lines().collect();
    let failed = lines
        .iter()
        .filter(|line| line.starts_with("FAILED"))
        .count();
    assert_eq!(failed, 2, "{}", verify.stdout);
    let named = lines.iter().any(|line| line.contains(why));
    assert!(named, "nothing says {why:?}:\n{}", verify.stdout);
}

#[test]
#[ignore = "starts containers"]
fn a_public_address_of_somebody_else_is_told_and_gets_no_secret() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let secrets = SECRETS.map(|key| checkout.variable(key));
    let stranger = Stranger::listen("127.0.0.1:0");
    let url = format!("http://{}", stranger.address);
    set(&checkout, "UMAMI_URL", &url);

    let verify = checkout.xtask(&["verify", "--public"]).code(1);
    assert_fails(&verify, "umami", "is not the umami of this stack");
    let connect = checkout.xtask(&["connect"]).success();
    let warning = format!("{url} was tried and does not lead to this stack yet");
    assert!(connect.says(&warning).stdout.contains(&url));
    assert!(!stranger.received().is_empty());
    stranger.knows_none_of(&secrets);
}

/// A key and a certificate for both names, in PEM.
#[track_caller]
fn make_certificate(checkout: &Checkout) -> (String, String) {
    let exec = [
        "exec", "--no-TTY", "postgres", "openssl", "req", "-x509", "-nodes",
    ];
    let options = [
        "-newkey", "rsa:2048", "-days", "2", "-keyout", "-", "-subj", "/CN=test",
    ];
    let names = "subjectAltName=DNS:analytics.example.com,DNS:errors.example.com";
    let made = checkout.compose(&[&exec[..], &options, &["-addext", names]].concat());
    let text = made.success().stdout;
    let begin = text.find("-----BEGIN CERTIFICATE").unwrap();
    (text[..begin].to_owned(), text[begin..].to_owned())
}

/// Makes the curl in Umami's container trust a certificate, and no other.
#[track_caller]
fn trust(checkout: &Checkout, certificate: &str) {
    let write = format!("printf %s '{certificate}' > /tmp/ca.pem");
    let exec = ["exec", "--no-TTY", "umami", "sh", "-c", &write];
    checkout.compose(&exec).success();
}

/// A proxy with TLS in the stack's network, which knows the public names.
struct Proxy {
    container: String,
}

impl Proxy {
    #[track_caller]
    fn start(checkout: &Checkout, pem: &str) -> Proxy {
        let project = &checkout.project;
        let aliases = ["analytics.example.com", "errors.example.com"];
        let aliases = aliases.map(|name| ["--network-alias", name]).concat();
        let container = checkout.container("glitchtip-web");
        let format = "{{.Config.Image}}";
        let inspect = ["inspect", "--format", format, &container];
        let image = Run::of(Command::new("docker").args(inspect)).success();
        let run = ["run", "--detach", "--env", "PEM", "--network", project];
        let mut docker = Command::new("docker");
        docker.env("PEM", pem).args(run).args(aliases);
        docker.args(["--entrypoint", "python", image.stdout.trim(), "-uc", PROXY]);
        let started = Run::of(&mut docker).success();
        let proxy = Proxy {
            container: started.stdout.trim().to_owned(),
        };
        crate::events::wait_until(|| {
            let logs = Run::of(Command::new("docker").args(["logs", &proxy.container]));
            logs.stdout.matches("listening").count() == 2
        });
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let remove = ["rm", "--force", "--volumes", &self.container];
        let _ = Command::new("docker").args(remove).output();
    }
}
