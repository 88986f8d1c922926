//! Which web pages may call the server: its own. The page of another could otherwise write to a server without
//! authentication, from the browser of a reader who is on the same machine or network.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header;
use axum::http::uri::Authority;

use crate::error::{Error, Result};
use crate::rest::query::shortened;
use crate::state::State;

/// Checks `Origin`, and of a server that listens on its machine alone also `Host`: others can make their names point
/// there.
pub(crate) fn check(app: &State, request: &Request) -> Result<()> {
    let headers = request.headers();
    let in_header = headers.get(header::HOST);
    let in_header = in_header.map(|host| host.to_str().unwrap_or_default());
    let host = in_header.or_else(|| request.uri().authority().map(Authority::as_str));
    let own = app.options.own_name.as_deref();
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let name = origin.split_once("://").map(|(_, name)| name);
        if !name.is_some_and(|name| is_same(host, name) || is_same(own, name)) {
            let what = format!("a page of {:?} may not call this server", shortened(origin));
            return Err(Error::CrossOrigin(what));
        }
    }
    match host {
        Some(host) if app.is_loopback && !is_local(host) && !is_same(own, host) => {
            let what = format!("this server is not known as {:?}", shortened(host));
            Err(Error::CrossOrigin(what))
        }
        _ => Ok(()),
    }
}

fn is_same(known: Option<&str>, name: &str) -> bool {
    known.is_some_and(|known| known.eq_ignore_ascii_case(name))
}

/// Returns whether `host` always means this machine, or is an address.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let in_brackets = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost") || in_brackets.unwrap_or(name).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_local_and_names_are_not() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:80",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com:80",
            "127.0.0.1.example.com",
            "[::1",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
