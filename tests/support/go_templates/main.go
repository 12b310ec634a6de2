// Renders templates with Go's text/template: what ours are compared with.
//
// Standard input is a JSON list of {"template", "data"}; standard output the list of their
// {"output"}, or {"stage", "message"} of what fails when it is parsed or executed.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"strings"
	"text/template"
)

type request struct {
	Template string `json:"template"`
	Data     any    `json:"data"`
}

type answer struct {
	Output  *string `json:"output,omitempty"`
	Stage   string  `json:"stage,omitempty"`
	Message string  `json:"message,omitempty"`
}

var functions = template.FuncMap{
	"toJson": func(value any) (string, error) {
		text, err := json.Marshal(value)
		return string(text), err
	},
}

func main() {
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	var requests []request
	if err := decoder.Decode(&requests); err != nil {
		log.Fatal(err)
	}
	answers := make([]answer, len(requests))
	for i, request := range requests {
		answers[i] = rendered(request.Template, plain(request.Data))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func rendered(text string, data any) answer {
	parsed, err := template.New("payload").Funcs(functions).Parse(text)
	if err != nil {
		return answer{Stage: "parse", Message: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, data); err != nil {
		return answer{Stage: "execute", Message: err.Error()}
	}
	text = output.String()
	return answer{Output: &text}
}

// plain turns whole numbers into ints, other ones into floats, and leaves lists no room to grow.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		return number(value)
	case []any:
		elements := make([]any, len(value))
		for i, element := range value {
			elements[i] = plain(element)
		}
		return elements
	case map[string]any:
		for key, element := range value {
			value[key] = plain(element)
		}
	}
	return value
}

func number(text json.Number) any {
	if strings.ContainsAny(text.String(), ".eE") {
		float, err := text.Float64()
		if err != nil {
			log.Fatal(err)
		}
		return float
	}
	whole, err := text.Int64()
	if err != nil {
		log.Fatal(err)
	}
	return int(whole)
}
