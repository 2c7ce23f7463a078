//! A program that is none of ours, listens at an address and writes down what it is sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub struct Stranger {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
}

impl Stranger {
    /// Listens at `address`; port 0 is any free one. Answers everything as a friend would: 200, but envelopes
    /// as another GlitchTip does, with 403. It lasts as long as the test's process.
    pub fn listen(address: &str) -> Stranger {
        let listener = TcpListener::bind(address).unwrap();
        let received = Arc::default();
        let stranger = Stranger {
            address: listener.local_addr().unwrap(),
            received: Arc::clone(&received),
        };
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let received = Arc::clone(&received);
                thread::spawn(move || answer(connection, &received));
            }
        });
        stranger
    }

    /// The requests that came; a connection on which nothing was sent is none.
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    /// Asserts that nothing came that others must not know.
    #[track_caller]
    pub fn knows_none_of(&self, secrets: &[String]) {
        for request in self.received() {
            let text = request.to_ascii_lowercase();
            for word in ["authorization", "cookie", "password"] {
                assert!(!text.contains(word), "it was sent {word}:\n{request}");
            }
            for secret in secrets {
                assert!(!request.contains(secret), "it was sent a secret");
            }
        }
    }
}

fn answer(mut connection: TcpStream, received: &Mutex<Vec<String>>) {
    let patience = Some(Duration::from_secs(5));
    let _ = connection.set_read_timeout(patience);
    let Some(request) = read_request(&mut connection) else {
        return;
    };
    let status = if request.contains("/envelope/") {
        "403 Forbidden"
    } else {
        "200 OK"
    };
    received.lock().unwrap().push(request);
    let body = r#"{"ok":true,"beep":"boop","sessionId":"1","token":"1","id":"1"}"#;
    let length = body.len();
    let _ = write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
}

/// The head and as much of a body as it announces; `None` when nothing comes.
fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text.split_once("\r\n\r\n").map(|(head, body)| {
            let lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines
                .filter_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .next();
            (body.len(), length.unwrap_or(0))
        });
        let is_whole = length.is_some_and(|(has, announced): (usize, usize)| has >= announced);
        if is_whole || count == 0 {
            return (!bytes.is_empty()).then_some(text);
        }
    }
}
