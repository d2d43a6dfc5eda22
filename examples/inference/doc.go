// Command inference serves a classifier of handwritten digits over HTTP. Requests that come at the same time share a
// forward pass, and a new checkpoint is loaded without a pause.
//
//	inference -checkpoint mnist.pt -addr 127.0.0.1:8080
//	curl -d '{"pixels": [0, 0.1, ...]}' http://127.0.0.1:8080/predict
//	curl -X POST http://127.0.0.1:8080/reload
package main
