package main

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// config is the application's behaviour. The zero value of each field is good
// behaviour.
type config struct {
	version string // VERSION, in every answer
	address string // ADDR:PORT, default :8080
	log     string // LOG, a line written at the start

	startDelay time.Duration // START_DELAY before it listens
	readyAfter time.Duration // READY_AFTER it listens, /readyz answers 200
	unready    bool          // UNREADY: /readyz always answers 503
	unhealthy  bool          // UNHEALTHY: /livez always answers 503
	drain      time.Duration // DRAIN: how long it finishes requests after SIGTERM, default 5s

	latency      time.Duration // LATENCY of every answer
	errorPercent float64       // ERROR_PERCENT of answers with status 500, 0 to 100

	crashes      bool
	crashAfter   time.Duration // CRASH_AFTER the start it ends with EXIT_CODE and CRASH_MESSAGE
	exitCode     int           // EXIT_CODE, default 1
	crashMessage string        // CRASH_MESSAGE, log line and termination message

	memoryMiB int // MEMORY_MIB taken and touched before it listens
}

// readConfig reads the variables; the error names the variable and its value.
func readConfig(getenv func(string) string) (config, error) {
	c := config{
		version:      valueOr(getenv("VERSION"), "dev"),
		address:      net.JoinHostPort(getenv("ADDR"), valueOr(getenv("PORT"), "8080")),
		log:          getenv("LOG"),
		crashMessage: valueOr(getenv("CRASH_MESSAGE"), "crashing as told"),
	}
	var failure error
	parse := func(name string, into func(string) error) {
		value := getenv(name)
		if value == "" || failure != nil {
			return
		}
		if err := into(value); err != nil {
			failure = fmt.Errorf("%s=%q: %w", name, value, err)
		}
	}
	duration := func(to *time.Duration) func(string) error {
		return func(v string) (err error) { *to, err = time.ParseDuration(v); return err }
	}
	flag := func(to *bool) func(string) error {
		return func(v string) (err error) { *to, err = strconv.ParseBool(v); return err }
	}
	number := func(to *int) func(string) error {
		return func(v string) (err error) { *to, err = strconv.Atoi(v); return err }
	}
	c.drain, c.exitCode = 5*time.Second, 1
	parse("START_DELAY", duration(&c.startDelay))
	parse("READY_AFTER", duration(&c.readyAfter))
	parse("UNREADY", flag(&c.unready))
	parse("UNHEALTHY", flag(&c.unhealthy))
	parse("DRAIN", duration(&c.drain))
	parse("LATENCY", duration(&c.latency))
	parse("ERROR_PERCENT", func(v string) (err error) { c.errorPercent, err = strconv.ParseFloat(v, 64); return err })
	parse("CRASH_AFTER", duration(&c.crashAfter))
	parse("EXIT_CODE", number(&c.exitCode))
	parse("MEMORY_MIB", number(&c.memoryMiB))
	c.crashes = getenv("CRASH_AFTER") != ""
	return c, failure
}

func valueOr(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
