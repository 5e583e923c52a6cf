// What readers do besides, now and then: one line for each feature's step, such as
//
//   export { notes } from "./notes.js";
