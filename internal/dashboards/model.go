// Package dashboards makes the Grafana dashboards of deploy/dashboards, in
// Grafana's classic JSON (schema version 1 of dashboards, as every Grafana from
// 9 on imports it). [All] returns them; deploy/ holds them as files.
package dashboards

// Dashboard is what Grafana imports: the fields of its classic model that are
// used here.
type Dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"` // 1 = one crosshair for all panels
	Refresh       string     `json:"refresh"`
	SchemaVersion int        `json:"schemaVersion"`
	Version       int        `json:"version"`
	Time          TimeRange  `json:"time"`
	Templating    Templating `json:"templating"`
	Links         []Link     `json:"links"`
	Panels        []Panel    `json:"panels"`
}

// TimeRange is what is shown first.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Templating holds the variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is a choice at the top of the dashboard.
type Variable struct {
	Name       string      `json:"name"`
	Label      string      `json:"label"`
	Type       string      `json:"type"` // datasource, query
	Query      any         `json:"query"`
	Definition string      `json:"definition,omitempty"`
	Datasource *Datasource `json:"datasource,omitempty"`
	Refresh    int         `json:"refresh"`
	Sort       int         `json:"sort,omitempty"`
	Multi      bool        `json:"multi"`
	IncludeAll bool        `json:"includeAll"`
	AllValue   string      `json:"allValue,omitempty"`
	Current    *Current    `json:"current,omitempty"`
	Hide       int         `json:"hide"`
}

// Current is a variable's first value.
type Current struct {
	Text  string `json:"text"`
	Value string `json:"value"`
}

// VariableQuery is the query of a Prometheus variable.
type VariableQuery struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

// Datasource names a data source by a variable.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Link leads from one dashboard to another.
type Link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	KeepTime    bool     `json:"keepTime"`
	IncludeVars bool     `json:"includeVars"`
}

// Panel is one picture.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Datasource      *Datasource      `json:"datasource,omitempty"`
	GridPos         GridPos          `json:"gridPos"`
	Targets         []Target         `json:"targets,omitempty"`
	FieldConfig     FieldConfig      `json:"fieldConfig"`
	Options         map[string]any   `json:"options"`
	Transformations []Transformation `json:"transformations,omitempty"`
}

// GridPos is where a panel stands, on 24 columns.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Target is one query.
type Target struct {
	RefID        string      `json:"refId"`
	Datasource   *Datasource `json:"datasource"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat,omitempty"`
	Format       string      `json:"format,omitempty"`
	Instant      bool        `json:"instant,omitempty"`
	Range        bool        `json:"range,omitempty"`
	QueryType    string      `json:"queryType,omitempty"`
	MaxLines     int         `json:"maxLines,omitempty"`
}

// FieldConfig is how values are shown.
type FieldConfig struct {
	Defaults  FieldDefaults `json:"defaults"`
	Overrides []Override    `json:"overrides"`
}

// FieldDefaults hold for all series of a panel.
type FieldDefaults struct {
	Unit       string         `json:"unit,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color,omitempty"`
	Thresholds *Thresholds    `json:"thresholds,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

// Thresholds colour values.
type Thresholds struct {
	Mode  string      `json:"mode"`
	Steps []Threshold `json:"steps"`
}

// Threshold colours values from Value on; nil = from the least.
type Threshold struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Override changes some fields of a table.
type Override struct {
	Matcher    map[string]any   `json:"matcher"`
	Properties []map[string]any `json:"properties"`
}

// Transformation works on the answers before they are shown.
type Transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

var (
	metricsSource = &Datasource{Type: "prometheus", UID: "${datasource}"}
	logsSource    = &Datasource{Type: "loki", UID: "${logs}"}
)

// source is the choice of a data source; the first one of its type is taken.
func source(name, label, kind string) Variable {
	return Variable{Name: name, Label: label, Type: "datasource", Query: kind, Refresh: 1}
}

// choice is a variable with the values of a label; all values are its default.
func choice(name, label, query string) Variable {
	return Variable{
		Name: name, Label: label, Type: "query", Query: VariableQuery{Query: query, RefID: name}, Definition: query, Datasource: metricsSource,
		Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: ".*", Current: &Current{Text: "All", Value: "$__all"},
	}
}

// single is a variable with one value at a time.
func single(name, label, query string) Variable {
	v := choice(name, label, query)
	v.Multi, v.IncludeAll, v.AllValue, v.Current = false, false, "", nil
	return v
}

// layout places panels from left to right, row after row.
type layout struct {
	panels  []Panel
	x, y, h int
}

func (l *layout) add(w, h int, p Panel) {
	if l.x+w > 24 {
		l.x, l.y, l.h = 0, l.y+l.h, 0
	}
	p.GridPos, p.ID = GridPos{H: h, W: w, X: l.x, Y: l.y}, len(l.panels)+1
	if p.Options == nil {
		p.Options = map[string]any{}
	}
	if p.FieldConfig.Overrides == nil {
		p.FieldConfig.Overrides = []Override{}
	}
	l.x, l.h = l.x+w, max(l.h, h)
	l.panels = append(l.panels, p)
}

// row begins a new row with a heading.
func (l *layout) row(title string) {
	if l.x > 0 {
		l.x, l.y, l.h = 0, l.y+l.h, 0
	}
	l.panels = append(l.panels, Panel{ID: len(l.panels) + 1, Type: "row", Title: title, GridPos: GridPos{H: 1, W: 24, Y: l.y},
		FieldConfig: FieldConfig{Overrides: []Override{}}, Options: map[string]any{}})
	l.y++
}

// query is a range query over the metrics.
func query(expr, legend string) Target {
	return Target{Datasource: metricsSource, Expr: expr, LegendFormat: legend, Range: true}
}

// now is an instant query over the metrics.
func now(expr, legend string) Target {
	return Target{Datasource: metricsSource, Expr: expr, LegendFormat: legend, Instant: true}
}

func letters(targets []Target) []Target {
	for i := range targets {
		targets[i].RefID = string(rune('A' + i))
	}
	return targets
}

func series(title, description, unit string, targets ...Target) Panel {
	return Panel{Type: "timeseries", Title: title, Description: description, Datasource: metricsSource, Targets: letters(targets),
		FieldConfig: FieldConfig{Defaults: FieldDefaults{Unit: unit, Min: number(0),
			Custom: map[string]any{"lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": false}}},
		Options: map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"}},
	}
}

// bars counts what happened in each step of the picture.
func bars(title, description string, targets ...Target) Panel {
	p := series(title, description, "short", targets...)
	p.FieldConfig.Defaults.Decimals = whole(0)
	p.FieldConfig.Defaults.Custom = map[string]any{"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0,
		"stacking": map[string]any{"mode": "normal", "group": "A"}}
	return p
}

func stat(title, description, unit string, targets ...Target) Panel {
	return Panel{Type: "stat", Title: title, Description: description, Datasource: metricsSource, Targets: letters(targets),
		FieldConfig: FieldConfig{Defaults: FieldDefaults{Unit: unit, NoValue: "no data"}},
		Options: map[string]any{"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}},
	}
}

func logs(title, description, expr string) Panel {
	return Panel{Type: "logs", Title: title, Description: description, Datasource: logsSource,
		Targets: []Target{{RefID: "A", Datasource: logsSource, Expr: expr, QueryType: "range", MaxLines: 200}},
		Options: map[string]any{"showTime": true, "wrapLogMessage": true, "enableLogDetails": true, "sortOrder": "Descending", "dedupStrategy": "none"},
	}
}

func limits(p Panel, steps ...Threshold) Panel {
	p.FieldConfig.Defaults.Thresholds = &Thresholds{Mode: "absolute", Steps: append([]Threshold{{Color: "green"}}, steps...)}
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	return p
}

func number(v float64) *float64 { return &v }
func whole(v int) *int          { return &v }

func dashboard(uid, title, description, from string, variables []Variable, l layout) Dashboard {
	return Dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"fairlead"}, Editable: true, GraphTooltip: 1, Refresh: "1m",
		SchemaVersion: 39, Version: 1, Time: TimeRange{From: from, To: "now"}, Templating: Templating{List: variables},
		Links:  []Link{{Title: "fairlead", Type: "dashboards", Tags: []string{"fairlead"}, AsDropdown: true, KeepTime: true, IncludeVars: true}},
		Panels: l.panels,
	}
}
