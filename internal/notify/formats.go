package notify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// postableAlert is an alert of Alertmanager's API v2.
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt,omitzero"`
	EndsAt       time.Time         `json:"endsAt,omitzero"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func encodeAlertmanager(m Message) ([]byte, error) {
	return marshal([]postableAlert{{
		Labels: m.alertLabels(), Annotations: m.annotations(), StartsAt: m.StartsAt, EndsAt: m.EndsAt, GeneratorURL: m.URL,
	}})
}

// webhookBody is what Alertmanager sends to webhooks, version 4, with one alert.
type webhookBody struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            Status            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []webhookAlert    `json:"alerts"`
}

type webhookAlert struct {
	Status       Status            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // the year 1 while it lasts, as Alertmanager sends it
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func encodeWebhook(m Message, receiver string) ([]byte, error) {
	labels, annotations := m.alertLabels(), m.annotations()
	a := webhookAlert{
		Status: m.Status, Labels: labels, Annotations: annotations, StartsAt: m.StartsAt.UTC(),
		GeneratorURL: m.URL, Fingerprint: fingerprint(labels),
	}
	if m.Status == StatusResolved {
		a.EndsAt = m.EndsAt.UTC()
	}
	group := map[string]string{"alertname": m.Name}
	return marshal(webhookBody{
		Version: "4", GroupKey: "{}:{alertname=" + quote(m.Name) + "}/" + a.Fingerprint, Status: m.Status, Receiver: receiver,
		GroupLabels: group, CommonLabels: labels, CommonAnnotations: annotations, ExternalURL: m.URL, Alerts: []webhookAlert{a},
	})
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// fingerprint identifies a set of labels, over restarts.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		h.Write([]byte(k + "\xff" + labels[k] + "\xff"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// slackBody is the message of an incoming webhook.
type slackBody struct {
	Text   string       `json:"text"` // where blocks cannot be shown
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// slackHeader is the most characters that Slack takes in a header.
const slackHeader = 150

func encodeSlack(m Message) ([]byte, error) {
	title := slackIcon(m) + " " + m.Summary
	body := slackBody{
		Text:   slackEscape(title),
		Blocks: []slackBlock{{Type: "header", Text: &slackText{"plain_text", cut(title, slackHeader)}}},
	}
	if m.Description != "" {
		// Escapes make a text up to five times longer; Slack counts those.
		body.Blocks = append(body.Blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", slackCut(m.Description, 2900)}})
	}
	if len(m.Facts) > 0 {
		b := slackBlock{Type: "section"}
		for _, f := range m.Facts {
			b.Fields = append(b.Fields, slackText{"mrkdwn", "*" + slackCut(f.Name, 500) + "*\n" + slackCut(f.Value, 1400)})
		}
		body.Blocks = append(body.Blocks, b)
	}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
		labels = append(labels, k+"="+m.Labels[k])
	}
	foot := slackCut(m.Name+" · "+string(m.Severity)+" · "+strings.Join(labels, ", "), 1500)
	for _, link := range []struct{ url, text string }{{m.URL, "Open"}, {m.RunbookURL, "Runbook"}} {
		if link.url != "" && len(link.url) < 1000 {
			foot += " · <" + strings.NewReplacer("|", "%7C", ">", "%3E", "<", "%3C", "&", "&amp;").Replace(link.url) + "|" + link.text + ">"
		}
	}
	body.Blocks = append(body.Blocks, slackBlock{Type: "context", Elements: []slackText{{"mrkdwn", foot}}})
	return marshal(body)
}

func slackIcon(m Message) string {
	switch {
	case m.Status == StatusResolved:
		return "✅ Resolved:"
	case m.Severity == SeverityCritical:
		return "🔴"
	case m.Severity == SeverityInfo:
		return "ℹ️"
	default:
		return "🟠"
	}
}

var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackEscape makes a text say itself: no mentions (<!channel>), no links.
func slackEscape(s string) string { return slackEscaper.Replace(s) }

// slackCut escapes s and keeps the result within n bytes, never half an escape.
func slackCut(s string, n int) string {
	most := n
	for {
		escaped := slackEscape(cut(s, most))
		if len(escaped) <= n {
			return escaped
		}
		most -= (len(escaped)-n)/5 + 1 // an escape is five bytes at most
	}
}

// marshal is JSON with <, > and & as they are: receivers show them as text.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
