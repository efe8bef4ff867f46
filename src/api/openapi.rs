//! The API described as OpenAPI 3.1: made of the same types that the server reads and writes.
//!
//! `schema/openapi.json` is this document; the server answers it at `/v1/openapi.json`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    CommitAnswer, CommitRequest, EventBody, JwkSet, LeaseBody, LeaseList, LeaseRequest,
    OperatorRequest, Problem, ProductList, QueuedBody, StageAnswer, StageRequest, Status,
};

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut api = Api { schemas: settings.into_generator(), paths: Map::new() };
    api.describe();
    let problem = api.schemas.subschema_for::<Problem>();
    let schemas = api.schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem license server",
            "version": "1",
            "summary": "Floating licenses from a redundant pair of servers.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": api.paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Problem": {
                    "description": "What is wrong (RFC 9457).",
                    "content": {"application/problem+json": {"schema": problem}},
                },
            },
            "securitySchemes": {
                "leaseToken": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token of the lease.",
                },
                "operator": {
                    "type": "apiKey", "in": "header", "name": "Tandem-Signature",
                    "description": "A request signed by an operator: base64(JSON).base64(SSHSIG blob).",
                },
            },
        },
    })
}

struct Api {
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Api {
    fn describe(&mut self) {
        let checkout = self.body::<LeaseRequest>();
        let joined =
            self.answer::<LeaseBody>("The lease was held already, or the request repeated.");
        let granted = self.answer::<LeaseBody>("A new lease.");
        let queued = self.answer::<QueuedBody>("No seat was free in time: the place in the queue.");
        self.route(
            "/v1/leases",
            "post",
            "checkout",
            "Checks out seats.",
            json!({
                "requestBody": checkout, "responses": {"200": joined, "201": granted, "202": queued},
            }),
        );
        let list = self.answer::<LeaseList>("The live leases.");
        self.route(
            "/v1/leases",
            "get",
            "leases",
            "Lists the live leases.",
            json!({
                "security": [{}, {"operator": []}], "responses": {"200": list},
            }),
        );
        let id = json!([{
            "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "The lease's id.",
        }]);
        let renewed = self.answer::<LeaseBody>("The lease with a fresh token.");
        self.route(
            "/v1/leases/{id}",
            "put",
            "renew",
            "Renews a lease.",
            json!({
                "parameters": id, "security": [{"leaseToken": []}], "responses": {"200": renewed},
            }),
        );
        self.route(
            "/v1/leases/{id}",
            "delete",
            "release",
            "Ends the token's use of a lease.",
            json!({
                "parameters": id, "security": [{"leaseToken": []}],
                "responses": {"204": {"description": "The use has ended, now or before."}},
            }),
        );
        let products = self.answer::<ProductList>("The products.");
        self.route(
            "/v1/products",
            "get",
            "products",
            "Lists products and their seats.",
            json!({
                "responses": {"200": products},
            }),
        );
        let event = self.schemas.subschema_for::<EventBody>();
        self.route("/v1/events", "get", "events", "Streams what happens, from now on.", json!({
            "security": [{}, {"operator": []}],
            "responses": {"200": {
                "description": "Server-sent events: `id` is seq, `event` is type, `data` is the event.",
                "content": {"text/event-stream": {"schema": event}},
            }},
        }));
        let keys = self.answer::<JwkSet>("The keys that lease tokens are signed with.");
        self.route(
            "/v1/keys",
            "get",
            "keys",
            "Gives the keys of both servers.",
            json!({
                "responses": {"200": keys},
            }),
        );
        self.route(
            "/v1/openapi.json",
            "get",
            "openapi",
            "Gives this document.",
            json!({
                "responses": {"200": {
                    "description": "This document.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }},
            }),
        );
        let status = self.answer::<Status>("The server's status.");
        self.route(
            "/v1/status",
            "get",
            "status",
            "Says what the server is, runs and sees.",
            json!({
                "responses": {"200": status},
            }),
        );
        self.describe_operators_part();
    }

    fn describe_operators_part(&mut self) {
        self.route("/v1/config", "get", "config", "Gives the bundle that runs.", json!({
            "security": [{}, {"operator": []}],
            "responses": {"200": {
                "description": "The bundle; without an operator's signature no licenses' text and no names.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }},
        }));
        let stage = self.body::<StageRequest>();
        let staged =
            self.answer::<StageAnswer>("The bundle was verified and is held for a minute.");
        self.route(
            "/v1/config/stage",
            "post",
            "stage",
            "Verifies a bundle and holds it.",
            json!({
                "requestBody": stage, "responses": {"200": staged},
            }),
        );
        let commit = self.body::<CommitRequest>();
        let committed = self.answer::<CommitAnswer>("The bundle runs.");
        self.route(
            "/v1/config/commit",
            "post",
            "commit",
            "Starts a staged bundle.",
            json!({
                "requestBody": commit, "responses": {"200": committed},
            }),
        );
        let operator = self.body::<OperatorRequest>();
        self.route("/v1/operator", "post", "operator", "Carries out an operator's command.", json!({
            "requestBody": operator, "responses": {"204": {"description": "It was carried out."}},
        }));
        self.route("/v1/peer", "get", "peer", "Opens the pair's own connection.", json!({
            "responses": {"101": {"description": "The connection is upgraded to `tandem-peer/1`."}},
        }));
        self.route(
            "/healthz",
            "get",
            "healthz",
            "Says that the process is alive.",
            json!({
                "responses": {"200": {"description": "It is."}},
            }),
        );
        self.route(
            "/readyz",
            "get",
            "readyz",
            "Says whether the server is ready.",
            json!({
                "responses": {"200": {"description": "It is active, or a paired standby."}},
            }),
        );
    }

    fn route(&mut self, path: &str, method: &str, id: &str, summary: &str, mut operation: Value) {
        operation["operationId"] = id.into();
        operation["summary"] = summary.into();
        operation["responses"]["default"] = json!({"$ref": "#/components/responses/Problem"});
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        entry[method] = operation;
    }

    fn body<T: JsonSchema>(&mut self) -> Value {
        let schema = self.schemas.subschema_for::<T>();
        json!({"required": true, "content": {"application/json": {"schema": schema}}})
    }

    fn answer<T: JsonSchema>(&mut self, description: &str) -> Value {
        let schema = self.schemas.subschema_for::<T>();
        json!({"description": description, "content": {"application/json": {"schema": schema}}})
    }
}
