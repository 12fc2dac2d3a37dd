// Sends one span, one counter, one histogram and one log record with the
// OpenTelemetry SDK for Node, and ends with 1 when any export fails.
const { diag, DiagLogLevel } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { LoggerProvider, SimpleLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { OTLPMetricExporter, AggregationTemporalityPreference } = require("@opentelemetry/exporter-metrics-otlp-http");
const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-http");

let failed = false;
diag.setLogger({ error: (...a) => { failed = true; console.error(...a); }, warn() {}, info() {}, debug() {}, verbose() {} }, DiagLogLevel.ERROR);

const base = process.argv[2];
const resource = resourceFromAttributes({ "service.name": "node-shop", "deployment.track": "canary" });

async function main() {
  const tracers = new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: base + "/v1/traces" }))] });
  tracers.getTracer("shop").startSpan("POST /order").end();

  const meters = new MeterProvider({ resource, readers: [new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: base + "/v1/metrics", temporalityPreference: AggregationTemporalityPreference.DELTA }),
    exportIntervalMillis: 60000 })] });
  const meter = meters.getMeter("shop");
  meter.createCounter("orders").add(1);
  meter.createHistogram("latency", { unit: "s" }).record(0.25, { track: "canary" });

  const logs = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor(new OTLPLogExporter({ url: base + "/v1/logs" }))] });
  logs.getLogger("shop").emit({ body: "order placed", severityText: "INFO" });

  await tracers.shutdown();
  await meters.shutdown();
  await logs.shutdown();
  process.exit(failed ? 1 : 0);
}
main().catch((e) => { console.error(e); process.exit(1); });
