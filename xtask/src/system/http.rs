//! HTTP/1.1: requests as text, answers from a stream of bytes. [pure]
//!
//! Must never trust an answer: what is malformed, cut off or too long is an error.

use std::io::{self, BufRead, Read};

/// A head that is longer than this is none.
const LONGEST_HEAD: u64 = 64 * 1024;

/// What is read as a whole is some kilobytes.
const LONGEST_BODY: u64 = 16 * 1024 * 1024;

/// A request to a host.
pub struct Request<'a> {
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// With the port, where it is not the usual one.
    pub host: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a str,
}

impl Request<'_> {
    /// Its text.
    ///
    /// # Errors
    /// When a part of it would end where the request does not; says nothing of that part, which may be a secret.
    pub fn render(&self) -> io::Result<String> {
        let heads = [self.method, self.path, self.host].into_iter();
        let headers = self
            .headers
            .iter()
            .flat_map(|(name, value)| [*name, *value]);
        if heads.clone().any(|it| it.contains(' ')) || heads.chain(headers).any(has_control) {
            let problem = "a request with a character that no request can hold";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.path, self.host
        );
        for (name, value) in self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        text.push_str(self.body);
        Ok(text)
    }
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}

/// The beginning of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    /// With the connection.
    Connection,
}

/// Reads the beginning of an answer; its body is next in the stream.
///
/// # Errors
/// When there is no answer, or none that is HTTP.
pub fn read_head(stream: &mut impl BufRead) -> io::Result<Head> {
    let mut stream = stream.take(LONGEST_HEAD);
    let first = read_line(&mut stream)?;
    let mut words = first.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    let Some(status) = status.filter(|_| is_http) else {
        return Err(malformed("an answer that is not HTTP"));
    };

    let mut head = Head {
        status,
        headers: Vec::new(),
        framing: Framing::Connection,
    };
    if status == 204 || status == 304 {
        head.framing = Framing::Length(0);
    }
    loop {
        let line = read_line(&mut stream)?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("a header without a colon"))?;
        head.take(name.to_ascii_lowercase(), value.trim())?;
    }
}

impl Head {
    /// The values of each header of this name, which is written in lower case.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.iter();
        headers.filter_map(move |(known, value)| (known == name).then_some(value.as_str()))
    }

    fn take(&mut self, name: String, value: &str) -> io::Result<()> {
        let has_body = self.framing != Framing::Length(0);
        match &*name {
            "transfer-encoding" if has_body && value.eq_ignore_ascii_case("chunked") => {
                self.framing = Framing::Chunked;
            }
            "content-length" if has_body && self.framing != Framing::Chunked => {
                let length = value.parse();
                self.framing = Framing::Length(length.map_err(|_| malformed("a length"))?);
            }
            _ => {}
        }
        self.headers.push((name, value.to_owned()));
        Ok(())
    }

    /// The body that follows in the stream.
    pub fn body<R: BufRead>(&self, stream: R) -> Body<R> {
        let (framing, left) = match self.framing {
            Framing::Length(length) => (self.framing, length),
            other => (other, 0),
        };
        Body {
            stream,
            framing,
            left,
            state: BodyState::Begins,
        }
    }
}

/// A body under way: reads to its end and not further.
pub struct Body<R> {
    stream: R,
    framing: Framing,
    /// Bytes that are left of it, or of the present chunk.
    left: u64,
    state: BodyState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyState {
    Begins,
    Continues,
    Ended,
}

impl<R: BufRead> Body<R> {
    /// All of it, as text.
    ///
    /// # Errors
    /// When it is cut off, too long or malformed.
    pub fn text(self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.take(LONGEST_BODY + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST_BODY {
            return Err(malformed("an answer that does not end"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Goes to the next chunk; after the last one the state is `Ended`.
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut stream = (&mut self.stream).take(LONGEST_HEAD);
        if self.state == BodyState::Continues && !read_line(&mut stream)?.is_empty() {
            return Err(malformed("a chunk that is longer than it said"));
        }
        self.state = BodyState::Continues;
        let line = read_line(&mut stream)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk's length"))?;
        if self.left == 0 {
            while !read_line(&mut stream)?.is_empty() {}
            self.state = BodyState::Ended;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Connection {
            return self.stream.read(buffer);
        }
        if self.framing == Framing::Chunked && self.left == 0 && self.state != BodyState::Ended {
            self.next_chunk()?;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.stream.read(&mut buffer[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.left -= read as u64;
                Ok(read)
            }
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| malformed("a line that is not text"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and body of each answer in a stream.
    fn read_all(mut stream: &[u8]) -> io::Result<Vec<(u16, String)>> {
        let mut answers = Vec::new();
        while !stream.is_empty() {
            let head = read_head(&mut stream)?;
            answers.push((head.status, head.body(&mut stream).text()?));
        }
        Ok(answers)
    }

    #[test]
    fn answers_follow_each_other_on_one_connection() {
        let stream = "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 2\r\n\r\nOK\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let texts = ["OK", "abc0123456789", "", ""].map(str::to_owned);
        let answers: Vec<_> = [200, 200, 204, 404].into_iter().zip(texts).collect();
        assert_eq!(read_all(stream.as_bytes()).unwrap(), answers);
        let head = read_head(&mut stream.as_bytes()).unwrap();
        assert_eq!(head.headers("api-version").next(), Some("1.45"));
    }

    #[test]
    fn what_is_cut_off_or_malformed_is_an_error() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for stream in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 nothing\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "docker: 'dial-stdio' is not a docker command.\n\n",
            &format!("{chunked}3\r\nabc\r\n"),
            &format!("{chunked}3\r\nabcdef\r\n0\r\n\r\n"),
            &format!("{chunked}zz\r\nabc\r\n0\r\n\r\n"),
            &format!("{chunked}ffffffffffffffffff\r\nabc"),
        ] {
            assert!(read_all(stream.as_bytes()).is_err(), "{stream:?}");
        }
    }

    fn request<'a>(path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Request<'a> {
        Request {
            method: "POST",
            path,
            host: "127.0.0.1:3001",
            headers,
            body: "{}",
        }
    }

    #[test]
    fn a_request_is_one_text() {
        assert_eq!(
            request("/images/create?tag=3", &[("X-Registry-Auth", "e30=")])
                .render()
                .unwrap(),
            "POST /images/create?tag=3 HTTP/1.1\r\nHost: 127.0.0.1:3001\r\nX-Registry-Auth: e30=\r\n\
             Content-Length: 2\r\n\r\n{}"
        );
    }

    #[test]
    fn no_part_of_a_request_becomes_another_one() {
        for (path, headers) in [
            ("/ HTTP/1.1", [("A", "b")]),
            ("/\r\nX: y", [("A", "b")]),
            ("/", [("A", "secret\r\nX: y")]),
            ("/", [("A\n", "b")]),
        ] {
            let error = request(path, &headers).render().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(0u8.., 0..400)) {
            let _ = read_all(&bytes);
            let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = read_all(&[&answer[..], &bytes].concat());
        }

        #[test]
        fn a_body_in_chunks_is_the_body(chunks in proptest::collection::vec("[a-z\r\n]{1,40}", 0..9)) {
            let mut stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            for chunk in &chunks {
                stream.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            }
            stream.push_str("0\r\n\r\n");
            assert_eq!(read_all(stream.as_bytes()).unwrap(), [(200, chunks.concat())]);
        }
    }
}
