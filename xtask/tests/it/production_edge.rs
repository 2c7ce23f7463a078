//! What production's containers say to the outside: the edge lets nobody claim another address, and a replica is well
//! while its database is away.

use crate::faults::until;
use crate::http::agent;
use crate::lab::Lab;

#[test]
#[ignore = "starts containers"]
fn a_replica_of_glitchtip_is_well_while_the_database_is_away_that_it_had_reached() {
    let lab = Lab::new();
    let address = "DATABASE_URL=postgres://nobody:nothing@127.0.0.1:1/nothing";
    // While anybody may sign up, that page does not ask the database.
    let closed = "ENABLE_USER_REGISTRATION=False";
    let options = [
        "--init",
        "--env",
        address,
        "--env",
        closed,
        "--env",
        "PORT=8000",
    ];
    lab.start(
        "web",
        &options,
        &["analytics-standin/glitchtip:6", "./bin/start.sh"],
    );
    lab.copy("../analytics/glitchtip-service.py", "web");
    let check = |verb: &str| lab.run("web", &["python", "-IS", "/tmp/glitchtip-service.py", verb]);

    check("check-replica")
        .code(1)
        .says("/api/settings/ answers");
    lab.run("web", &["touch", "/tmp/check-was-well"]).success();
    until("GlitchTip to answer", || {
        check("check-replica").code == Some(0)
    });
    check("check-web").code(1);
}

#[test]
#[ignore = "starts containers"]
fn the_edge_passes_on_who_asks_and_nothing_that_a_visitor_claims() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_echo("glitchtip-web", "8000");
    let address = lab.start_edge("off");
    let ask = |host: &str, path: &str| {
        let mut request = agent(10)
            .get(format!("{address}{path}"))
            .header("Host", host);
        for name in [
            "X-Forwarded-For",
            "X-Real-IP",
            "CF-Connecting-IP",
            "True-Client-IP",
            "Forwarded",
            "X-Vercel-IP-Country",
        ] {
            request = request.header(name, "6.6.6.6");
        }
        let mut response = request.call().unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_string().unwrap(),
        )
    };
    let (status, seen) = ask("analytics.example.com", "/api/send");
    assert_eq!(status, 200);
    assert!(!seen.contains("6.6.6.6"), "{seen}");
    let claimed = seen
        .lines()
        .filter(|line| line.to_lowercase().starts_with("x-forwarded-for:"));
    assert_eq!(claimed.count(), 1, "{seen}");

    for path in [
        "/metrics",
        "/metrics/",
        "/%6Detrics",
        "//metrics",
        "/admin/login/",
        "/ADMIN",
    ] {
        assert_eq!(ask("errors.example.com", path).0, 404, "{path}");
    }
    assert_eq!(ask("errors.example.com", "/api/settings/").0, 200);
    let envelope = agent(10)
        .post(format!("{address}/api/1/envelope/"))
        .header("Host", "errors.example.com")
        .send(vec![b'x'; 1024 * 1024]);
    assert_eq!(envelope.unwrap().status(), 200);
}

#[test]
#[ignore = "starts containers"]
fn the_edge_redirects_to_tls_and_asks_browsers_to_stay_there() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_edge("internal");
    let ask = |address: &str| {
        let words = [
            "curl",
            "--silent",
            "--insecure",
            "--head",
            "--retry",
            "20",
            "--retry-connrefused",
            address,
        ];
        let run = lab.in_network(&words);
        run.success().stdout.to_lowercase()
    };
    let plain = ask("http://analytics.example.com/page");
    assert!(plain.contains("308 permanent redirect"), "{plain}");
    assert!(
        plain.contains("location: https://analytics.example.com/page"),
        "{plain}"
    );
    let secure = ask("https://analytics.example.com/page");
    assert!(
        secure.contains("strict-transport-security: max-age=31536000"),
        "{secure}"
    );
    // What asks a public authority cannot run here; its file is the same but for one word.
    lab.run(
        "edge",
        &[
            "env",
            "TLS=acme",
            "caddy",
            "validate",
            "--adapter",
            "caddyfile",
            "--config",
            "/etc/caddy/Caddyfile",
        ],
    )
    .success();
}
