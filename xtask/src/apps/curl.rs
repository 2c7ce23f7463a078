//! Requests by curl, for ways that are not ours to go: curl reads what to do from its stdin, where secrets may
//! stand. [pure]

use serde_json::Value;

use super::http::{Answer, Request, TIMEOUT, cookie_pair, without_query};

/// The line between the status and the headers.
const HEADERS: &str = "--headers--";

/// What curl is to do, in the form of its configuration file, with further lines of it.
pub fn render(base: &str, request: &Request, options: &[String]) -> String {
    let mut lines = vec![
        "silent".to_owned(),
        "show-error".to_owned(),
        format!("max-time = {}", TIMEOUT.as_secs()),
    ];
    lines.extend_from_slice(options);
    lines.extend([
        format!("url = {}", quote(&format!("{base}{}", request.path))),
        format!("request = {}", request.method),
        format!(r#"write-out = "\n%{{http_code}}\n{HEADERS}\n%{{header_json}}""#),
    ]);
    let header = |(name, value): &(&str, &str)| quote(&format!("{name}: {value}"));
    lines.extend(
        request
            .headers
            .iter()
            .map(|it| format!("header = {}", header(it))),
    );
    if !request.body.is_empty() {
        lines.push(format!("data-raw = {}", quote(&request.body)));
    }
    lines.join("\n") + "\n"
}

/// A value of curl's configuration file.
pub fn quote(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n").replace('\r', "\\r"))
}

/// Reads a body, the status in the line after it, and the headers.
pub fn parse(output: &str, path: &str) -> Option<Answer> {
    let (rest, headers) = output.rsplit_once(&format!("\n{HEADERS}\n"))?;
    let (body, status) = rest.rsplit_once('\n')?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let headers: Value = serde_json::from_str(headers).unwrap_or_default();
    let cookies = headers["set-cookie"].as_array().into_iter().flatten();
    Some(Answer {
        status: status.trim().parse().ok()?,
        body,
        cookies: cookies
            .filter_map(|cookie| cookie_pair(cookie.as_str()?))
            .collect(),
        path: without_query(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_gets_its_orders_quoted() {
        let request = Request::post("/api/1/envelope/", "{\"a\":\"\\\"\"}\n{}\n".to_owned())
            .header("User-Agent", "x \"y\"");
        assert_eq!(
            render(
                "https://errors.example.com",
                &request,
                &["insecure".to_owned()]
            ),
            "silent\nshow-error\nmax-time = 10\ninsecure\nurl = \"https://errors.example.com/api/1/envelope/\"\n\
             request = POST\nwrite-out = \"\\n%{http_code}\\n--headers--\\n%{header_json}\"\nheader = \"User-Agent: x \\\"y\\\"\"\n\
             data-raw = \"{\\\"a\\\":\\\"\\\\\\\"\\\"}\\n{}\\n\"\n"
        );
    }

    #[test]
    fn curl_answers_with_body_and_status() {
        let headers = r#"{"set-cookie":["a=1; Path=/; HttpOnly","b=2"]}"#;
        let output = format!("{{\"ok\":\n true}}\n200\n--headers--\n{headers}");
        let answer = parse(&output, "/a?b").unwrap();
        assert_eq!((answer.status, &*answer.path), (200, "/a"));
        assert_eq!(answer.body["ok"], true);
        assert_eq!(answer.cookies, ["a=1", "b=2"]);
        assert_eq!(parse("\n404\n--headers--\n{}", "/").unwrap().status, 404);
        assert!(parse("", "/").is_none());
    }
}
