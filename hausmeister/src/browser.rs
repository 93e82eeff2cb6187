//! A real browser for the demo and the end-to-end tests: Debian's Chromium, without a window.
//!
//! It is driven by the Chrome DevTools Protocol (<https://chromedevtools.github.io/devtools-protocol/>) over two pipes: no port is open
//! that others could reach, the browser may live in another network namespace, and it ends when this process ends, however that
//! happens. It believes every certificate: what a certificate is worth is tested elsewhere.

mod wire;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use wire::Wire;

/// A browser with one page.
pub struct Browser {
    wire: Wire,
    screen: Screen,
}

/// What a page is shown on; sizes in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Whether it is touched, and has a phone's narrow scroll bars.
    pub phone: bool,
    /// Whether its owner likes pages dark.
    pub dark: bool,
}

impl Screen {
    /// A phone held upright.
    pub const PHONE: Self = Self { width: 390, height: 844, phone: true, dark: false };
    /// A PC.
    pub const DESKTOP: Self = Self { width: 1280, height: 900, phone: false, dark: false };

    /// The same for somebody who likes pages dark.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl Browser {
    /// Starts it with an empty profile in a new folder. `shell` is `sh`, as a command that starts it where the browser is to live.
    ///
    /// # Errors
    /// Chromium is missing or does not start.
    pub fn start(shell: Command, profile: &Path, screen: Screen) -> anyhow::Result<Self> {
        let mut browser = Self { wire: Wire::start(shell, profile)?, screen };
        for domain in ["Page", "Runtime", "Log"] {
            browser.wire.call(&format!("{domain}.enable"), &json!({}))?;
        }
        browser.show_on(screen)?;
        Ok(browser)
    }

    /// Changes the screen; the page stays.
    ///
    /// # Errors
    /// The browser ended or does not answer.
    pub fn show_on(&mut self, screen: Screen) -> anyhow::Result<()> {
        self.screen = screen;
        let Screen { width, height, phone, dark } = screen;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.wire.call("Emulation.setDeviceMetricsOverride", &size)?;
        self.wire.call("Emulation.setTouchEmulationEnabled", &json!({ "enabled": phone }))?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.wire.call("Emulation.setEmulatedMedia", &json!({ "features": features }))?;
        Ok(())
    }

    /// Switches the pages' own scripts on or off, from the next page on.
    ///
    /// # Errors
    /// The browser ended or does not answer.
    pub fn run_scripts(&mut self, on: bool) -> anyhow::Result<()> {
        self.wire.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !on }))?;
        Ok(())
    }

    /// Forgets cookies, as a new person's browser: who was signed in is not any more.
    ///
    /// # Errors
    /// The browser ended or does not answer.
    pub fn forget_everything(&mut self) -> anyhow::Result<()> {
        self.wire.call("Network.clearBrowserCookies", &json!({}))?;
        Ok(())
    }

    /// Opens an address and waits until it is loaded.
    ///
    /// # Errors
    /// Nobody answers there.
    pub fn open(&mut self, address: &str) -> anyhow::Result<()> {
        self.and_load(|browser| {
            let answer = browser.wire.call("Page.navigate", &json!({ "url": address }))?;
            if let Some(error) = answer.get("errorText").and_then(Value::as_str) {
                bail!("{address}: {error}");
            }
            Ok(())
        })
    }

    /// Does something that leads to another page, and waits until that is loaded.
    ///
    /// # Errors
    /// The deed failed, or no page came.
    pub fn and_load(&mut self, deed: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = self.wire.loads();
        deed(self)?;
        self.wire.until("the next page", |wire| Ok(wire.loads() > before))
    }

    /// The value of a JavaScript expression on the page; a promise is waited for. Works with the pages' own scripts off, too.
    ///
    /// # Errors
    /// It throws.
    pub fn value(&mut self, expression: &str) -> anyhow::Result<Value> {
        self.wire.value(expression)
    }

    /// A text on the page, by a CSS selector; empty when there is no such element.
    ///
    /// # Errors
    /// The browser ended or does not answer.
    pub fn text(&mut self, selector: &str) -> anyhow::Result<String> {
        let found = self.value(&format!("document.querySelector({})?.innerText ?? ''", quoted(selector)))?;
        Ok(found.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a JavaScript expression is true; a page that is just being replaced has no answer yet.
    ///
    /// # Errors
    /// It does not become true.
    pub fn until(&mut self, expression: &str) -> anyhow::Result<()> {
        self.wire.until(expression, |wire| Ok(wire.value(expression).is_ok_and(|value| value == true)))
    }

    /// Taps, or clicks, in the middle of an element where a person would.
    ///
    /// # Errors
    /// There is no such element, or another one lies over it.
    pub fn tap(&mut self, selector: &str) -> anyhow::Result<()> {
        let place = self.value(&format!("({MIDDLE})({})", quoted(selector)))?;
        let at = |key| place.get(key).and_then(Value::as_f64);
        let (x, y) = at("x").zip(at("y")).with_context(|| format!("{selector} is not on the page"))?;
        ensure!(place.get("open") == Some(&Value::Bool(true)), "something lies over {selector}");
        if self.screen.phone {
            let touch = json!({ "type": "touchStart", "touchPoints": [{ "x": x, "y": y }] });
            self.wire.call("Input.dispatchTouchEvent", &touch)?;
            self.wire.call("Input.dispatchTouchEvent", &json!({ "type": "touchEnd", "touchPoints": [] }))?;
            return Ok(());
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let click = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.wire.call("Input.dispatchMouseEvent", &click)?;
        }
        Ok(())
    }

    /// Types into a field.
    ///
    /// # Errors
    /// There is no such field.
    pub fn write(&mut self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.tap(selector)?;
        self.until(&format!("document.activeElement === document.querySelector({})", quoted(selector)))?;
        self.wire.call("Input.insertText", &json!({ "text": text }))?;
        Ok(())
    }

    /// Writes a picture of the whole page, as PNG, also of what lies below the screen.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn picture(&mut self, file: &Path) -> anyhow::Result<()> {
        let height = self.value("Math.ceil(document.documentElement.getBoundingClientRect().height)")?;
        let height = height.as_u64().unwrap_or_default().clamp(u64::from(self.screen.height), HEIGHT_MAX);
        let clip = json!({ "x": 0, "y": 0, "width": self.screen.width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.wire.call("Page.captureScreenshot", &wanted)?;
        let encoded = taken.get("data").and_then(Value::as_str).context("the browser sent no picture")?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, STANDARD.decode(encoded)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What the pages complained about since this was last asked: scripts that threw, refusals by the content security policy,
    /// addresses that could not be loaded.
    pub fn faults(&mut self) -> Vec<String> {
        self.wire.take_faults()
    }
}

/// A text as a JavaScript string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A function that brings an element into view and tells its middle, and whether it can be touched there.
const MIDDLE: &str = "selector => {
    const element = document.querySelector(selector);
    if (!element) return {};
    element.scrollIntoView({ block: 'center', behavior: 'instant' });
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(x, y);
    return { x, y, open: element.contains(top) };
}";
const HEIGHT_MAX: u64 = 6000;
/// A browser that says nothing for so long will not speak again, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
