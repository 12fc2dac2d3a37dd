package analysis

// OtherRoute holds the routes beyond Config.Routes.Max. It is shown, not hidden.
const OtherRoute = "other"

// routesSuffix marks the weight of a metric's route tests.
const routesSuffix = ".routes"
