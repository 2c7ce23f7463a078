//! A registry on loopback, from Debian's `docker-registry`, and a slow line to it that can break.
//!
//! Both end with their values, and take the images that were pulled through them along.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::checkout::{Checkout, Run};

/// The images that the stack is made from, as the stand-ins are called.
pub const IMAGES: [&str; 4] = ["glitchtip:6", "postgres:15", "redis:7", "umami:3"];

pub struct Registry {
    process: Child,
    port: u16,
    _data: TempDir,
}

impl Registry {
    /// Starts an empty one.
    pub fn start() -> Registry {
        let data = TempDir::new().unwrap();
        let port = free_port();
        let config = data.path().join("config.yml");
        let folder = data.path().display();
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{folder}/data'}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n"
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut process = process.expect("`.ci/run` installs docker-registry");
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = |line: &io::Result<String>| line.as_ref().unwrap().contains("listening on");
        assert!(
            log.any(|line| listens(&line)),
            "docker-registry does not start"
        );
        // What nobody reads would stop it.
        thread::spawn(move || log.for_each(drop));
        Registry {
            process,
            port,
            _data: data,
        }
    }

    /// Pushes a stand-in under a name, with files of random bytes on top: layers that the engine does not
    /// have.
    pub fn push(&self, standin: &str, name: &str, layers: &[usize]) {
        let folder = TempDir::new().unwrap();
        let mut dockerfile = format!("FROM analytics-standin/{standin}\n");
        for (index, bytes) in layers.iter().enumerate() {
            let mut random = fs::File::open("/dev/urandom").unwrap().take(*bytes as u64);
            let mut file = fs::File::create(folder.path().join(format!("noise{index}"))).unwrap();
            io::copy(&mut random, &mut file).unwrap();
            dockerfile.push_str(&format!("COPY noise{index} /\n"));
        }
        fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        let image = format!("127.0.0.1:{}/{name}", self.port);
        let docker = |arguments: &[&str]| Run::of(Command::new("docker").args(arguments));
        docker(&[
            "build",
            "--quiet",
            "--tag",
            &image,
            folder.path().to_str().unwrap(),
        ])
        .success();
        docker(&["push", "--quiet", &image]).success();
        docker(&["rmi", &image]).success();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A line to a registry. Images are pulled through it.
pub struct Line {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes a second of each connection; 0 is no limit.
    rate: AtomicU64,
    is_broken: AtomicBool,
    /// The `Authorization` that the first request of a connection must have; empty for none.
    wants_login: AtomicBool,
    /// Bytes that came from the registry.
    served: AtomicU64,
}

/// `me:a secret of the registry`, as a request has it.
const LOGIN: &str = "Basic bWU6YSBzZWNyZXQgb2YgdGhlIHJlZ2lzdHJ5";

/// The password that [`Line::want_login`] wants of `me`.
pub const PASSWORD: &str = "a secret of the registry";

impl Line {
    pub fn to(registry: &Registry) -> Line {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (shared, to) = (Arc::clone(&state), registry.port);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(client, to, &state));
            }
        });
        Line { port, state }
    }

    pub fn limit(&self, bytes_a_second: u64) {
        self.state.rate.store(bytes_a_second, Ordering::SeqCst);
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.state.is_broken.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.state.is_broken.store(false, Ordering::SeqCst);
    }

    /// From now on only `me` with [`PASSWORD`] is served.
    pub fn want_login(&self) {
        self.state.wants_login.store(true, Ordering::SeqCst);
    }

    pub fn served(&self) -> u64 {
        self.state.served.load(Ordering::SeqCst)
    }

    /// The name under which an image is pulled.
    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// Lets the stack be made from the images of the registry.
    pub fn use_in(&self, checkout: &Checkout) {
        let from = self.name("");
        checkout.replace("docker-compose.override.yml", "analytics-standin/", &from);
    }
}

impl Drop for Line {
    /// The images that were pulled, also those whose name means another one by now.
    fn drop(&mut self) {
        self.cut();
        let filter = format!("reference={}", self.name("*"));
        let list = ["images", "--quiet", "--no-trunc", "--filter", &filter];
        if let Ok(found) = Command::new("docker").args(list).output() {
            let ids = String::from_utf8_lossy(&found.stdout).into_owned();
            let mut remove = Command::new("docker");
            let _ = remove.args(["rmi", "--force"]).args(ids.lines()).output();
        }
    }
}

fn serve(mut client: TcpStream, port: u16, state: &Arc<State>) {
    if state.is_broken.load(Ordering::SeqCst) {
        return;
    }
    let mut head = Vec::new();
    if state.wants_login.load(Ordering::SeqCst) {
        head = read_head(&mut client);
        if !String::from_utf8_lossy(&head).contains(LOGIN) {
            let refusal = "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"test\"\r\n\
                           Content-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(refusal.as_bytes());
            return;
        }
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    server.write_all(&head).unwrap();
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let shared = Arc::clone(state);
    thread::spawn(move || pump(from, to, &shared, Way::Up));
    pump(server, client, state, Way::Down);
}

fn read_head(client: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    head
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

fn pump(mut from: TcpStream, mut to: TcpStream, state: &State, way: Way) {
    from.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut buffer = [0; 16 * 1024];
    while !state.is_broken.load(Ordering::SeqCst) {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if way == Way::Down {
            state.served.fetch_add(read as u64, Ordering::SeqCst);
            if let Some(nanos) =
                (read as u64 * 1_000_000_000).checked_div(state.rate.load(Ordering::SeqCst))
            {
                // This is what makes it slow; nothing is waited for.
                thread::sleep(Duration::from_nanos(nanos));
            }
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
