// Command site renders the documentation of all packages, and the pages of docs, into a folder of static pages, which a
// browser reads without a network and without a server.
//
//	make site                     # into out/site
//	go run -C scripts/site . -out /var/www/golite
//
// A page is made of each package (its documentation, constants, variables, functions, types, methods, examples), of
// each Markdown page, and of each source file that one of those links to. The page of a command or an example program
// shows its documentation. Search looks through the exported names of all packages in the browser.
//
// Links between pages are checked after they were written: a link to a page or a heading that is not there is an error,
// which names both. It is a module of its own, so that what renders Markdown is no dependency of golite's.
package main
