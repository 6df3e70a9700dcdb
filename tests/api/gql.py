"""What tests ask of GraphQL, and the queries that select every field."""

from typing import Any

from tests.api.conftest import Service

SINCE = "2020-01-01T00:00:00Z"

_FUNCTION = """
  id name slug config url triggers { type value condition } app { id externalID name }
  failureHandler { slug } outcomes { status runs }
  configuration {
    cancellations { event timeout condition } retries { value isDefault } priority
    eventsBatch { maxSize timeout key } concurrency { scope limit { value isPlanLimit } key }
    rateLimit { limit period key } debounce { period timeout key }
    throttle { burst key limit period } singleton { mode key }
  }
"""
_APP = f"""
  id externalID name sdkLanguage sdkVersion framework url error checksum connected functionCount
  autodiscovered method appVersion functions {{ {_FUNCTION} }}
"""
_PAGE = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount"
_SPAN = """
  appID functionID runID run { id } spanID traceID groupID name status attempts duration outputID
  queuedAt scheduledAt startedAt endedAt stepOp stepID stepType isRoot parentSpanID
  parentSpan { spanID } isUserland userlandSpan { spanName spanKind } debugRunID debugSessionID
  debugPaused skipReason skipExistingRunID metadata { scope kind values updatedAt }
  response { statusCode headers }
  stepInfo {
    __typename
    ... on InvokeStepInfo { triggeringEventID functionID timeout returnEventID runID timedOut }
    ... on SleepStepInfo { sleepUntil }
    ... on WaitForEventStepInfo { eventName expression timeout foundEventID timedOut }
    ... on RunStepInfo { type }
    ... on WaitForSignalStepInfo { signal timeout timedOut }
  }
"""
TRACE = f"{_SPAN} childrenSpans {{ {_SPAN} childrenSpans {{ {_SPAN} }} }}"
_RUN = """
  id appID functionID traceID queuedAt startedAt endedAt status eventName isBatch batchCreatedAt
  cronSchedule output triggerIDs lastRerun { id status operationID } function { name slug }
  app { name }
"""
_WORKER = """
  id gatewayId instanceId workerIp maxWorkerConcurrency app { id } appName connectedAt
  lastHeartbeatAt disconnectedAt disconnectReason status groupHash sdkLang sdkVersion sdkPlatform
  appVersion functionCount cpuCores memBytes os
"""

QUERIES = {
    "eventsV2": f"""query($after: String, $filter: EventsFilter!, $first: Int! = 40) {{
      eventsV2(first: $first, after: $after, filter: $filter) {{ edges {{ cursor node {{
        id name idempotencyKey occurredAt receivedAt raw version envID
        source {{ id name sourceKind }}
        runs {{ id status startedAt endedAt function {{ name slug }} }} }} }} {_PAGE} }} }}""",
    "eventV2": "query($id: ULID!) { eventV2(id: $id) { id name idempotencyKey raw } }",
    "event": """query($id: ID!) { event(query: {eventId: $id}) {
      id name createdAt payload raw status totalRuns pendingRuns functionRuns { id status } } }""",
    "events": """query($last: ID) { events(query: {lastEventId: $last}) {
      id name payload createdAt } }""",
    "stream": """query($query: StreamQuery! = {}) { stream(query: $query) {
      id trigger type createdAt inBatch runs { id function { name } } } }""",
    "runs": f"""query($first: Int! = 100, $after: String, $filter: RunsFilterV2!,
        $orderBy: [RunsV2OrderBy!]! = [{{field: QUEUED_AT, direction: DESC}}]) {{
      runs(first: $first, after: $after, orderBy: $orderBy, filter: $filter, preview: true) {{
        edges {{ cursor node {{ {_RUN} }} }}
        {_PAGE.replace("totalCount", "totalCount(preview: true)")} }} }}""",
    "run": f"query($id: String!) {{ run(runID: $id) {{ {_RUN} trace(preview: true) {{ {TRACE} }}"
    " } }",
    "functionRun": """query($id: ID!) { functionRun(query: {functionRunId: $id}) {
      id status output startedAt finishedAt eventID event { id } function { slug } } }""",
    "runTrigger": """query($id: String!) { runTrigger(runID: $id) {
      eventName IDs timestamp payloads isBatch batchID cron } }""",
    "runTraceSpanOutputByID": """query($id: String!) { runTraceSpanOutputByID(outputID: $id) {
      input data error { name message stack cause } } }""",
    "runTrace": f"query($id: String!) {{ runTrace(runID: $id) {{ {TRACE} }} }}",
    "functions": f"{{ functions {{ {_FUNCTION} }} }}",
    "functionBySlug": f"""query($slug: String!) {{
      functionBySlug(query: {{functionSlug: $slug}}) {{ {_FUNCTION} }} }}""",
    "apps": f"query($filter: AppsFilterV1) {{ apps(filter: $filter) {{ {_APP} }} }}",
    "app": f"query($id: UUID!) {{ app(id: $id) {{ {_APP} }} }}",
    "workerConnections": f"""query($filter: ConnectV1WorkerConnectionsFilter! = {{}}) {{
      workerConnections(first: 10, filter: $filter,
        orderBy: [{{field: CONNECTED_AT, direction: DESC}}]) {{
        edges {{ cursor node {{ {_WORKER} }} }} {_PAGE} }} }}""",
    "workerConnection": f"""query($id: ULID!) {{
      workerConnection(connectionId: $id) {{ {_WORKER} }} }}""",
}


def post(service: Service, query: str, variables: dict[str, Any] | None = None) -> Any:
    """Post a query; return the response."""
    body = {"query": query, "variables": variables or {}}
    return service.client.post("/v0/gql", json=body)


def ask(service: Service, name: str, **variables: Any) -> Any:
    """Ask one of QUERIES, which must succeed; return what it gives."""
    response = post(service, QUERIES[name], variables)
    assert (response.status_code, response.json.get("errors")) == (200, None), response.json
    return response.json["data"][name]


def refused(service: Service, name: str, **variables: Any) -> str:
    """Ask one of QUERIES, which must fail where it stands; return the message."""
    response = post(service, QUERIES[name], variables)
    assert response.status_code in (200, 422), response.json
    [error] = response.json["errors"]
    if response.status_code == 200:
        assert error["path"] == [name]
        assert error["message"] != "internal error"
    return str(error["message"])


def change(service: Service, mutation: str, **variables: Any) -> Any:
    """Post a mutation written as `field(arguments) { fields }`; return its only field's value."""
    types = {"runID": "ULID!", "input": "Bytes", "data": "Map", "id": "ULID", "other": "ULID"}
    declared = ", ".join(f"${name}: {types[name]}" for name in variables)
    head = f"mutation({declared})" if declared else "mutation"
    response = post(service, f"{head} {{ {mutation} }}", variables)
    assert response.status_code == 200, response.json
    if response.json.get("errors"):
        return response.json["errors"][0]["message"]
    [value] = response.json["data"].values()
    return value
