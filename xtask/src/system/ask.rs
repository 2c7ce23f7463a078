//! Questions to a server that is near, over HTTP without TLS. Must never go through a proxy.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::http::{Head, Request, read_head};

/// Sends one request over a connection of its own to the host that it names, and reads the whole answer.
///
/// # Errors
/// When nothing answers within `time`, or what answers is not HTTP.
pub fn ask(request: &Request, time: Duration) -> io::Result<(Head, String)> {
    let text = request.render()?;
    let deadline = Instant::now() + time;
    let mut stream = Timed {
        stream: connect(request.host, deadline)?,
        deadline,
    };
    stream.stream.set_write_timeout(Some(left(deadline)?))?;
    stream.stream.write_all(text.as_bytes())?;

    let mut stream = BufReader::new(&mut stream);
    let head = read_head(&mut stream)?;
    let body = head.body(&mut stream).text()?;
    Ok((head, body))
}

/// A connection to the first address of the host that takes one.
fn connect(host: &str, deadline: Instant) -> io::Result<TcpStream> {
    // The colons of an IPv6 address are within brackets.
    let has_port = host.rsplit(']').next().unwrap_or_default().contains(':');
    let addresses = if has_port {
        host.to_socket_addrs()?
    } else {
        format!("{host}:80").to_socket_addrs()?
    };
    let mut problem = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// What is left until the deadline: never zero, which would be for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    }
    Ok(left)
}

/// A connection whose reads end with the deadline.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for &mut Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream
            .read(buffer)
            .map_err(|error| match error.kind() {
                // What a timeout is called depends on the platform.
                io::ErrorKind::WouldBlock => {
                    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
                }
                _ => error,
            })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const QUESTION: Request = Request {
        method: "GET",
        path: "/api/heartbeat",
        host: "",
        headers: &[("Connection", "close")],
        body: "",
    };

    /// What is told of a server that sends this answer, and then goes on listening.
    fn asked(answer: &'static [u8], time: Duration) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let (done, ends) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 40]).unwrap();
            stream.write_all(answer).unwrap();
            let _ = ends.recv();
        });
        let request = Request {
            host: &host,
            ..QUESTION
        };
        let answer = ask(&request, time).map(|(head, body)| (head.status, body));
        drop(done);
        server.join().unwrap();
        answer
    }

    #[test]
    fn an_answer_ends_where_it_says_or_with_the_time() {
        let short = Duration::from_millis(200);
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
        let answer = asked(whole, Duration::from_secs(60)).unwrap();
        assert_eq!(answer, (200, "OK".to_owned()));
        for answer in [&whole[..20], &whole[..whole.len() - 1], b""] {
            let error = asked(answer, short).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{answer:?}");
        }
    }

    #[test]
    fn a_host_is_reached_with_and_without_a_port() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        assert!(connect(&host, deadline).is_ok());
        drop(listener);
        let refused = connect(&host, deadline).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for host in ["[::1", "nowhere.invalid", "127.0.0.1:none"] {
            assert!(connect(host, deadline).is_err(), "{host}");
        }
    }
}
