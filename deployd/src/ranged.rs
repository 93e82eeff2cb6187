//! Files as answers to GET: read as they are taken, and one byte range of them (RFC 9110 section 14).

use std::io::{Error, ErrorKind, Result, SeekFrom};
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// A file, or the part of it that a `Range` header asks for.
///
/// # Errors
/// There is no such file, or it cannot be read.
pub(crate) async fn file(path: &Path, range: Option<&str>) -> Result<Response<Body>> {
    let mut file = File::open(path).await?;
    let about = file.metadata().await?;
    if !about.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let len = about.len();
    let (status, from, to) = match part(range, len) {
        Part::Whole => (StatusCode::OK, 0, len),
        Part::Bytes(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Beyond => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            answer.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{len}"))?);
            return Ok(answer);
        }
    };
    if from > 0 {
        file.seek(SeekFrom::Start(from)).await?;
    }
    let mut answer = Response::new(streamed(file, to - from));
    *answer.status_mut() = status;
    let head = answer.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(CONTENT_LENGTH, (to - from).into());
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        head.insert(CONTENT_RANGE, value(format!("bytes {from}-{}/{len}", to.saturating_sub(1)))?);
    }
    Ok(answer)
}

fn value(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(Error::other)
}

/// The next `len` bytes of a file, read as they are taken.
fn streamed(file: File, len: u64) -> Body {
    Body::from_stream(futures_util::stream::unfold((file, len), |(mut file, left)| async move {
        if left == 0 {
            return None;
        }
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut buffer = vec![0; want];
        match file.read(&mut buffer).await {
            // The file became shorter while it was read; an error cuts the connection, so nobody takes half of it for the whole.
            Ok(0) => Some((Err(Error::from(ErrorKind::UnexpectedEof)), (file, 0))),
            Ok(n) => {
                buffer.truncate(n);
                Some((Ok(Bytes::from(buffer)), (file, left.saturating_sub(n as u64))))
            }
            Err(error) => Some((Err(error), (file, 0))),
        }
    }))
}

/// Which bytes of a file a `Range` header asks for (RFC 9110 section 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// From the first to before the second.
    Bytes(u64, u64),
    /// None that exist: 416.
    Beyond,
}

/// Reads a `Range` header. What is not understood is ignored, as RFC 9110 section 14.2 allows; so are several ranges.
fn part(header: Option<&str>, len: u64) -> Part {
    let parse = || {
        let (first, last) = header?.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| match text {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u64>().ok().map(Some),
            _ => None,
        };
        Some((number(first.trim())?, number(last.trim())?))
    };
    match parse() {
        None | Some((None, None)) => Part::Whole,
        Some((None, Some(0))) => Part::Beyond,
        Some((None, Some(tail))) if len > 0 => Part::Bytes(len.saturating_sub(tail), len),
        Some((Some(first), last)) if first < len => {
            let end = last.map_or(len, |last| last.saturating_add(1).min(len));
            if end > first { Part::Bytes(first, end) } else { Part::Whole }
        }
        Some(_) => Part::Beyond,
    }
}

const READ_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        let check = |header: &str, expected: Part| assert_eq!(part(Some(header), 1000), expected, "{header}");
        check("bytes=0-499", Part::Bytes(0, 500));
        check("bytes=500-", Part::Bytes(500, 1000));
        check("bytes=-100", Part::Bytes(900, 1000));
        check("bytes=-5000", Part::Bytes(0, 1000));
        check("bytes=999-5000", Part::Bytes(999, 1000));
        check("bytes=1000-", Part::Beyond);
        check("bytes=-0", Part::Beyond);
        for ignored in ["", "bytes=", "bytes=-", "bytes=5-1", "bytes=0-1,5-6", "lines=1-2", "bytes=+1-2"] {
            check(ignored, Part::Whole);
        }
        assert_eq!(part(Some("bytes=-5"), 0), Part::Beyond);
        assert_eq!(part(None, 1000), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_range_lies_inside_the_file(header in "bytes=[0-9]{0,25}-[0-9]{0,25}", len in 0u64..5000) {
            if let Part::Bytes(from, to) = part(Some(&header), len) {
                prop_assert!(from < to && to <= len);
            }
        }
    }
}
