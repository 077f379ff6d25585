//! The audience's page, as anybody on the internet sees it.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clients::Web;
use crate::show::ShowError;

/// The page at its address.
#[derive(Clone)]
pub struct Page {
    web: Web,
    /// Its address, such as `http://host`.
    pub address: String,
}

/// What the page says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// What it asks for: quiz, survey or closed.
    pub mode: String,
    /// The session that is on.
    pub session_id: String,
    /// Whether winners were drawn.
    pub winners_picked: bool,
    /// The model that it asks.
    pub model: String,
}

/// A status and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
}

impl Page {
    /// The page behind a host name.
    pub fn new(web: Web, host: &str) -> Self {
        Self {
            web,
            address: format!("http://{host}"),
        }
    }

    /// What the page says of itself.
    pub async fn config(&self) -> Result<Config, ShowError> {
        self.read("/api/config").await
    }

    /// Reads one path of its API.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ShowError> {
        let answer = self.get(path).await?;
        if answer.status != 200 {
            return Err(self.silent(format!("status {}", answer.status)));
        }
        serde_json::from_value(answer.body).map_err(|error| self.silent(error.to_string()))
    }

    /// Asks for one path.
    pub async fn get(&self, path: &str) -> Result<Answer, ShowError> {
        self.send(http::Request::get(format!("{}{path}", self.address)), Bytes::new())
            .await
    }

    /// Says something to one path.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, ShowError> {
        let request = http::Request::post(format!("{}{path}", self.address))
            .header(http::header::CONTENT_TYPE, "application/json");
        self.send(request, Bytes::from(body.to_string())).await
    }

    async fn send(&self, request: http::request::Builder, body: Bytes) -> Result<Answer, ShowError> {
        let request = request.body(body).map_err(|error| self.silent(error.to_string()))?;
        let response = self.web.send(request).await;
        let response = response.map_err(|error| self.silent(crate::error::with_causes(&error)))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body: serde_json::from_slice(response.body()).unwrap_or(Value::Null),
        })
    }

    fn silent(&self, reason: String) -> ShowError {
        ShowError::NoPage {
            address: self.address.clone(),
            reason,
        }
    }
}
