//! Requests by curl, for ways that are not ours to go: curl reads what to do from its stdin, where secrets may
//! stand. [pure]

use serde_json::Value;

use super::http::{Answer, Request, TIMEOUT, without_query};

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
        r#"write-out = "\n%{http_code}""#.to_owned(),
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

/// Reads a body, and the status in the line after it.
pub fn parse(output: &str, path: &str) -> Option<Answer> {
    let (body, status) = output.rsplit_once('\n')?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    Some(Answer {
        status: status.trim().parse().ok()?,
        body,
        cookies: Vec::new(),
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
             request = POST\nwrite-out = \"\\n%{http_code}\"\nheader = \"User-Agent: x \\\"y\\\"\"\n\
             data-raw = \"{\\\"a\\\":\\\"\\\\\\\"\\\"}\\n{}\\n\"\n"
        );
    }

    #[test]
    fn curl_answers_with_body_and_status() {
        let answer = parse("{\"ok\":\n true}\n200", "/a?b").unwrap();
        assert_eq!((answer.status, &*answer.path), (200, "/a"));
        assert_eq!(answer.body["ok"], true);
        assert_eq!(parse("\n404", "/").unwrap().status, 404);
        assert!(parse("", "/").is_none());
    }
}
